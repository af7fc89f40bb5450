import glob
import os
import signal
import subprocess
import sys
import tempfile

from machine import HERE, Machine
from private_bus import eventually

MAKER = "import sys; from machine import Machine; print(Machine().base, flush=True); sys.stdin.read()"


def traces(base):
    """Return what there is of a machine: its directory, mounts, cgroups and processes."""
    name = os.path.basename(base)
    with open("/proc/self/mountinfo") as file:
        mounts = file.read().splitlines()
    found = [line for line in mounts if name in line]
    hierarchies = [line.split()[4] for line in mounts if " - cgroup2 " in line]
    for parent in (tempfile.gettempdir(), *hierarchies):
        found += glob.glob(f"{parent}/{name}*")
    for path in glob.glob("/proc/[0-9]*"):
        try:
            with open(f"{path}/cmdline", "rb") as command, open(f"{path}/cgroup", "rb") as cgroup:
                if name.encode() in command.read() + cgroup.read():
                    found.append(path)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def test_a_machine_is_one_of_its_own():
    with Machine() as machine:
        assert machine.do("cat", "/proc/1/comm") == "systemd"
        assert machine.do("systemctl", "is-system-running") == "running"
        assert machine.do("hostname") == "machine" != os.uname().nodename
        assert machine.do("ls", "/sys/class/net") == "lo"
        assert len(machine.do("ls", "/proc").split()) < len(os.listdir("/proc"))
        assert traces(machine.base)
    assert traces(machine.base) == []


def test_what_is_written_inside_stays_inside():
    with Machine() as machine:
        machine.write("/etc/of-the-machine", "text\n")
        machine.do("sh", "-c", "echo other > /etc/hostname; mkdir /var/lib/of-the-machine; touch /tmp/of-the-machine")
        for path in ("/proc/sys/kernel/hostname", "/sys/kernel/profiling", "/run/checkout/README.md"):
            assert "Read-only file system" in machine.run("sh", "-c", f"echo 0 >> {path}").stderr
    assert not glob.glob("/etc/of-the-*") + glob.glob("/var/lib/of-the-*") + glob.glob("/tmp/of-the-*")


def test_a_machine_ends_with_all_that_runs_in_it():
    with Machine() as machine:
        machine.do("systemd-run", "--quiet", "--property=KillMode=none", "sh", "-c", "trap '' TERM; sleep 1000")
    assert traces(machine.base) == []


def test_nothing_is_left_of_a_machine_whose_maker_is_killed():
    command, environment = [sys.executable, "-c", MAKER], {"PYTHONPATH": HERE}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True) as maker:
        assert maker.stdout
        base = maker.stdout.readline().strip()
        assert traces(base)
        maker.kill()
    eventually(lambda: traces(base) == [])


def test_nothing_is_left_of_a_machine_whose_keeper_is_killed():
    with Machine() as machine:
        os.kill(machine.keeper.pid, signal.SIGKILL)
        eventually(lambda: not os.path.isdir(machine.root))
    # Its orphan is a matter of this machine's own process 1.
    eventually(lambda: traces(machine.base) == [])
