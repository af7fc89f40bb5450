def test_x(healthd_bus):
    r = healthd_bus.busctl("tree","org.healthd.Health1", user="nobody")
    print(r); assert "/memory" in r.stdout
