"""Which machine this is."""

from healthctl.render import units
from healthctl.render.described import text
from healthctl.render.line import Line
from healthctl.render.section import Frame, section, unavailable


def host(frame: Frame) -> list[Line]:
    """Draw the machine's name and model, its system, and how long it is up."""
    values = frame.described.single("host")
    problem = frame.described.problem("host")
    names = [text(values, "hostname"), text(values, "model")]
    kernel = " ".join(filter(None, ("Linux", text(values, "kernel"), text(values, "architecture"))))
    virtualisation = text(values, "virtualisation")
    system = [
        text(values, "os"),
        kernel if kernel != "Linux" else "",
        virtualisation if virtualisation != "none" else "",
    ]
    lines: list[Line] = []
    for label, parts in (("Host", names), ("System", system)):
        known = ", ".join(filter(None, parts))
        if known:
            lines += section(label, [[(known, "")]])
    if not lines and (values or problem):
        lines = section("Host", [unavailable(problem)])
    # The kernel counts it on the clock of `booted_at`, and so the screen needs no clock of its own.
    if frame.described.since_boot is not None:
        lines += section("Uptime", [[(units.duration(frame.described.since_boot), "")]])
    return lines
