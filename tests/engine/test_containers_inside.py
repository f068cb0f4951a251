"""What a process in a container finds: its user, limits, capabilities, mounts."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.containers.model import Status
from engine.containers.options import Mount, Ulimit
from engine.engine import Engine
from engine.errors import EngineError, InvalidParameter
from tests.fixtures.engine_host import EngineHost, remove_all


@pytest.fixture(scope="module")
def engine(host: EngineHost) -> Iterator[Engine]:
    with host.engine() as engine:
        yield engine
        remove_all(engine)


def sh(host: EngineHost, engine: Engine, script: str, **options: object) -> list[str]:
    return host.output(engine, "sh", "-c", script, **options).splitlines()


def capabilities(host: EngineHost, engine: Engine, **options: object) -> dict[str, int]:
    lines = sh(host, engine, "grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status", **options)
    return {line.split(":")[0]: int(line.split()[1], 16) for line in lines}


@pytest.mark.parametrize(
    ("user", "options", "found"),
    [
        ("", {}, ["0 0 0", "/root"]),
        ("ada", {}, ["1000 1001 1001 50", "/home/ada"]),
        ("1000", {}, ["1000 1001 1001 50", "/home/ada"]),
        ("ada:extra", {}, ["1000 77 77", "/home/ada"]),
        ("4711", {}, ["4711 0 0", "/"]),
        ("4711:4712", {"group_add": ("staff", "99")}, ["4711 4712 4712 50 99", "/"]),
    ],
)
def test_user(host: EngineHost, engine: Engine, user: str, options: dict[str, object], found: list[str]) -> None:
    assert sh(host, engine, 'echo "$(id -u) $(id -g) $(id -G)"; echo $HOME', user=user, **options) == found


def test_environment(host: EngineHost, engine: Engine) -> None:
    lines = sh(host, engine, "env; pwd; hostname", env=("A=b=c", "B="), working_dir="/made/here", hostname="box")
    assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in lines
    assert {"A=b=c", "B=", "HOSTNAME=box", "HOME=/root"} <= set(lines)
    assert lines[-2:] == ["/made/here", "box"]


def test_a_working_directory_through_a_link_stays_inside(host: EngineHost, engine: Engine, tmp_path: Path) -> None:
    """The container made a link that leads out of its root; its next start follows it inside."""
    container_id = host.create(engine, "sh", "-c", f"ln -s {tmp_path} /tmp/out 2>/dev/null; pwd", working_dir="/tmp/w")
    upper = engine.snapshots.upper(container_id)
    (upper / "tmp").mkdir()
    (upper / "tmp/w").symlink_to(tmp_path / "w")
    (tmp_path / "w").mkdir()
    with pytest.raises(InvalidParameter, match="working directory"):
        engine.containers.start(container_id)
    assert list((tmp_path / "w").iterdir()) == []
    engine.containers.remove(container_id)


@pytest.mark.parametrize("place", ["/proc/self/fd/7", "//proc/self/fd/8/../8", "/proc/1/root", "/link/fd/7"])
def test_a_working_directory_below_proc_is_refused(host: EngineHost, engine: Engine, place: str) -> None:
    """There it may be a descriptor of the runtime's own (CVE-2024-21626)."""
    container_id = host.create(engine, "pwd", working_dir=place)
    upper = engine.snapshots.upper(container_id)
    (upper / "proc/self/fd/7").mkdir(parents=True)
    (upper / "link").symlink_to("/proc/self")
    with pytest.raises(InvalidParameter, match="working directory"):
        engine.containers.start(container_id)
    engine.containers.remove(container_id)


def test_a_working_directory_that_a_bind_leads_below_proc(host: EngineHost, engine: Engine, tmp_path: Path) -> None:
    """What is mounted shows only when the runtime changes into it: nothing of the host is seen from there either."""
    for number in range(5, 12):
        (tmp_path / str(number)).symlink_to(f"/proc/self/fd/{number}")
    bind = Mount(source=str(tmp_path), target="/b")
    for number in range(5, 12):
        try:
            seen = host.output(engine, "ls", "../../../../..", working_dir=f"/b/{number}", mounts=(bind,))
        except EngineError:
            continue
        assert "work" not in seen.split(), f"the host's root through descriptor {number}"


def test_capabilities_and_seccomp(host: EngineHost, engine: Engine) -> None:
    usual = capabilities(host, engine)
    assert usual["CapEff"] == usual["CapBnd"] == usual["CapPrm"] == 0x00000000A80425FB
    assert usual["Seccomp"] == 2
    assert usual["NoNewPrivs"] == 0
    none = capabilities(host, engine, cap_drop=("ALL",), cap_add=("chown",), no_new_privileges=True)
    assert (none["CapBnd"], none["NoNewPrivs"]) == (1, 1)
    assert capabilities(host, engine, user="ada")["CapEff"] == 0
    assert capabilities(host, engine, seccomp="unconfined")["Seccomp"] == 0
    privileged = capabilities(host, engine, privileged=True)
    assert privileged["CapEff"] > usual["CapEff"]
    assert privileged["Seccomp"] == 0


def test_no_namespaces_of_its_own(host: EngineHost, engine: Engine) -> None:
    """In a user namespace a process would have every capability, and the kernel's widest surface to try them on."""
    script = "unshare -U true 2>&1; echo $?"
    assert "not permitted" in "".join(sh(host, engine, script, user="ada"))
    assert sh(host, engine, script, seccomp="unconfined")[-1] == "0"
    script = "unshare -u true 2>&1; echo $?"  # not -m, which mounts: AppArmor denies that
    assert sh(host, engine, script, cap_add=("SYS_ADMIN",))[-1] == "0"


def test_a_program_for_i386(host: EngineHost, engine: Engine, tmp_path: Path) -> None:
    """The filter knows the machine's second architecture too."""
    code = bytes.fromhex("b801000000 bb2a000000 cd80")  # exit(42)
    base, size = 0x08048000, 84 + len(code)
    header = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 3, 1, base + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 5, 0x1000)
    program = tmp_path / "program"
    program.write_bytes(header + segment + code)
    program.chmod(0o755)
    try:
        own = subprocess.run([program], check=False).returncode
    except OSError:
        own = -1
    if own != 42:
        pytest.skip("this host runs no programs for i386")
    container_id = host.run(engine, "/program", mounts=(Mount(source=str(program), target="/program"),))
    assert engine.containers.wait(container_id).result(timeout=10)[0] == 42
    engine.containers.remove(container_id)


def test_what_is_hidden_and_read_only(host: EngineHost, engine: Engine) -> None:
    script = (
        "for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /sys/x; do touch $f 2>/dev/null; echo $?; done; "
    )
    script += "head -c1 /proc/kcore 2>/dev/null; ls /sys/firmware; "
    script += "mount -t tmpfs x /tmp 2>&1 | grep -c -E 'denied|permitted'"
    assert sh(host, engine, script) == ["1", "1", "1", "1"]


def test_read_only_root(host: EngineHost, engine: Engine) -> None:
    script = "touch /x 2>&1; touch /etc/hosts 2>&1; touch /dev/shm/x && touch /t/x && echo fine"
    lines = sh(host, engine, script, read_only_rootfs=True, tmpfs={"/t": ""})
    assert len(lines) == 3
    assert all("Read-only" in line for line in lines[:2])
    assert lines[2] == "fine"


def test_tmpfs_keeps_its_safe_options(host: EngineHost, engine: Engine) -> None:
    script = "grep ' /t' /proc/mounts"
    small, usual, programs = sh(
        host, engine, script, tmpfs={"/ta": "size=64k,mode=700", "/tb": "", "/tc": "exec,size=1m"}
    )
    for line in (small, usual):
        assert {"nosuid", "nodev", "noexec"} <= set(line.split()[3].split(","))
    assert {"size=64k", "mode=700"} <= set(small.split()[3].split(","))
    assert "noexec" not in programs
    assert {"nosuid", "nodev"} <= set(programs.split()[3].split(","))


def test_binds(host: EngineHost, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host\n")
    binds = (
        Mount(source=str(tmp_path), target="/deep/place"),
        Mount(source=str(tmp_path / "file"), target="/etc/plain", read_only=True),
        Mount(source=str(tmp_path / "made"), target="/deep/place/made", read_only=True),
    )
    script = "cat /etc/plain; echo x > /deep/place/written; touch /etc/plain /deep/place/made/x 2>&1"
    container_id = host.run(engine, "sh", "-c", script, mounts=binds)
    engine.containers.wait(container_id).result(timeout=10)
    lines = host.log(engine, container_id).splitlines()
    assert lines[0] == "from the host"
    assert len([line for line in lines if "Read-only" in line]) == 2
    assert (tmp_path / "written").read_text() == "x\n"
    assert (tmp_path / "made").is_dir()


def test_limits(host: EngineHost, engine: Engine) -> None:
    script = "ulimit -n; ulimit -Hn; df -k /dev/shm | grep -o '^shm *[0-9]*'; cat /proc/sys/net/ipv4/ip_forward"
    lines = sh(
        host,
        engine,
        script,
        ulimits=(Ulimit(name="nofile", soft=100, hard=200),),
        shm_size=1024 * 1024,
        sysctls={"net.ipv4.ip_forward": "1"},
    )
    assert lines[0:2] == ["100", "200"]
    assert lines[2].split() == ["shm", "1024"]
    assert lines[3] == "1"


def groups_of(engine: Engine, container_id: str) -> list[Path]:
    """The control groups of a container, of either version."""
    places = (f"*/{engine.config.instance}/{container_id}", f"{engine.config.instance}/{container_id}")
    return [group for place in places for group in Path("/sys/fs/cgroup").glob(place)]


def test_cgroup_limits(host: EngineHost, engine: Engine) -> None:
    options = {"memory": 32 << 20, "nano_cpus": 500_000_000, "pids_limit": 17, "cpu_shares": 512}
    container_id = host.run(engine, "sleep", "1000", **options)
    groups = groups_of(engine, container_id)

    def value(*names: str) -> str:
        for group in groups:
            for name in names:
                if (group / name).is_file():
                    return (group / name).read_text().strip()
        raise AssertionError(f"no {names} in {groups}")

    assert value("memory.limit_in_bytes", "memory.max") == str(32 << 20)
    assert value("pids.max") == "17"
    assert value("cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    usual = host.run(engine, "sleep", "1000")
    groups = groups_of(engine, usual)
    assert value("pids.max") == "2048"
    remove_all(engine)


def test_the_kernel_kills_for_want_of_memory(host: EngineHost, engine: Engine) -> None:
    container_id = host.run(
        engine, "sh", "-c", "head -c 100m /dev/zero > /dev/shm/x", memory=16 << 20, shm_size=1 << 30
    )
    code, _ = engine.containers.wait(container_id).result(timeout=30)
    state = engine.containers.get(container_id).state
    assert (state.status, state.oom_killed) == (Status.EXITED, True)
    assert code != 0
    engine.containers.remove(container_id)
