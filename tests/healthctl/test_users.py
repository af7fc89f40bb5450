from healthctl.render.users import brief, users

CPU = {
    "resource": "cpu", "seconds": 1.0,
    "processes": [{"pid": 71, "name": "make", "unit": "user.slice", "cpu": 180.4}, {"pid": 9, "name": "", "unit": "",
                                                                                  "cpu": 3.0}],
    "units": [{"unit": "cron.service", "cpu": 12.0}],
    "hidden": 3, "reason": "processes of other users; run healthd as root",
}  # fmt: skip
IO = {"processes": [{"pid": 1, "name": "cp", "unit": "", "read_bytes_per_second": 2048.0, "write_bytes_per_second": 0}]}


def test_processes_come_first_then_units_and_what_is_hidden():
    assert users(CPU) == [
        "make (71, user.slice)  cpu 180.4 %",
        "a process (9)  cpu 3.0 %",
        "cron.service  cpu 12.0 %",
        "3 hidden: processes of other users; run healthd as root",
    ]


def test_each_figure_has_its_unit_and_zero_is_left_out():
    assert users(IO) == ["cp (1)  read 2.00 KiB/s"]
    assert users({"processes": [{"name": "a", "memory_bytes": 1 << 20, "swap_bytes": 1 << 30}]}) == [
        "a  memory 1.00 MiB, swap 1.00 GiB"
    ]


def test_in_short_it_is_the_processes_and_their_first_figure():
    assert brief(CPU) == "make (71, user.slice) 180.4 %, a process (9) 3.0 %"
    assert brief({}) == ""


def test_what_has_another_form_is_left_out():
    assert users({}) == users({"processes": None, "units": [7, "x"], "hidden": "many"}) == []
    assert users({"processes": [{"cpu": None, "new": True}]}) == ["a process  cpu ?, new yes"]
