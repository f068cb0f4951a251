"""The commands of a usual introduction to Docker, as people type them, on Havre and on dockerd.

What needs a mirror of Debian, a web server or a database is in test_course_services.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.built import build, write_context
from tests.fixtures.daemons import Daemon, Terminal

BRACKETED_PASTE_OFF = "\x1b[?2004l"
PAGE = "Yet another hello world\n"
DOCKERFILE = """FROM debian
RUN echo installed > /installed
COPY index.html /var/www/html/
EXPOSE 80
CMD cat /installed /var/www/html/index.html
"""


@pytest.fixture(scope="module", params=["havre", pytest.param("dockerd", marks=pytest.mark.slow)])
def daemon(request: pytest.FixtureRequest) -> Daemon:
    """Both engines; the peer, which is slow to pull, only in the long run."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Daemon)
    return found


@pytest.fixture(autouse=True)
def _clean(daemon: Daemon) -> Iterator[None]:
    yield
    daemon.remove_everything()
    daemon.docker("network", "prune", "-f")


def prompt(terminal: Terminal) -> str:
    """Wait for the shell's prompt; the name of the host in it."""
    shown = terminal.expect(":/# ")
    return shown.rpartition("root@")[2].removesuffix(":/# ")


def typed(terminal: Terminal, command: str) -> str:
    """Type a command, and give what it wrote before the next prompt."""
    terminal.send(f"{command}\n")
    shown = terminal.expect(":/# ").replace("\r", "").replace(BRACKETED_PASTE_OFF, "")
    return shown.partition("\n")[2].rpartition("\n")[0]


def test_ps_and_info_answer(daemon: Daemon) -> None:
    words = daemon.docker("ps").stdout.split("  ")
    assert [word.strip() for word in words if word] == [
        "CONTAINER ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "PORTS",
        "NAMES",
    ]
    shown = daemon.docker("info").stdout
    for word in ("Containers: 0", "Storage Driver: overlay2", "Default Runtime: ", "Total Memory: "):
        assert word in shown


def test_an_interactive_container_from_pull_to_restart(daemon: Daemon) -> None:
    daemon.docker("rmi", "-f", "debian", check=False)
    with daemon.docker_terminal("run", "-ti", "debian", "bash") as terminal:
        terminal.expect("Unable to find image 'debian:latest' locally\r\n")
        terminal.expect("latest: Pulling from library/debian\r\n")
        terminal.expect("Pull complete")
        terminal.expect("Digest: sha256:")
        terminal.expect("Status: Downloaded newer image for debian:latest\r\n")
        host = prompt(terminal)
        assert re.fullmatch("[0-9a-f]{12}", host)
        assert {"bin", "boot", "dev", "etc", "home", "usr", "var"} < set(typed(terminal, "ls").split())
        assert typed(terminal, "hostname; cat /proc/1/comm; tty; touch /root/kept") == f"{host}\nbash\n/dev/pts/0"
        assert "command not found" in typed(terminal, "ps -aux")
        terminal.send("exit\n")
        assert terminal.wait() == 127
    (line,) = daemon.docker("ps", "-a").stdout.splitlines()[1:]
    columns = [word.strip() for word in line.split("  ") if word]
    assert columns[:3] == [host, "debian", '"bash"']
    assert re.fullmatch(r"(Less than a second|\d+ seconds?|About a minute) ago", columns[3])
    assert re.fullmatch(r"Exited \(127\) (Less than a second|\d+ seconds?) ago", columns[4])
    name = columns[5]
    assert re.fullmatch(r"[a-z]+_[a-z]+\d?", name)

    with daemon.docker_terminal("run", "-ti", "debian", "bash") as terminal:
        assert prompt(terminal) != host
        assert "No such file" in typed(terminal, "ls /root/kept")
        terminal.send("exit 0\n")
        assert terminal.wait() == 0
    for called in (host, name, host[:6]):
        with daemon.docker_terminal("start", "-ai", called) as terminal:
            assert prompt(terminal) == host
            assert typed(terminal, "ls /root") == "kept"
            terminal.send("exit 4\n")
            assert terminal.wait() == 4


def test_the_beginning_of_an_id_is_enough_unless_two_have_it(daemon: Daemon) -> None:
    found: dict[str, str] = {}
    for _ in range(17):  # of 17 ids two begin with the same digit
        container = daemon.docker("create", "debian", "true").stdout.strip()
        if container[0] in found:
            break
        found[container[0]] = container
    digit = container[0]
    result = daemon.docker("start", digit, check=False)
    assert result.returncode == 1
    assert re.search(f"(?i)multiple IDs found with provided prefix: {digit}", result.stderr)
    length = next(n for n in range(2, 64) if container[:n] != found[digit][:n])
    assert daemon.docker("start", container[:length]).stdout == f"{container[:length]}\n"


def test_only_the_last_layer_is_written(daemon: Daemon) -> None:
    daemon.docker("run", "--name=changed", "debian", "sh", "-c", "echo x > /root/new; rm /etc/debian_version")
    assert sorted(daemon.docker("diff", "changed").stdout.splitlines()) == [
        "A /root/new",
        "C /etc",
        "C /root",
        "D /etc/debian_version",
    ]
    assert daemon.docker("run", "--rm", "debian", "ls", "/root", "/etc/debian_version").stdout.split() == [
        "/etc/debian_version",
        "/root:",
    ]


def test_a_comma_in_expose_is_answered(daemon: Daemon, tmp_path: Path) -> None:
    dockerfile = "FROM debian\nMAINTAINER me\nRUN true \\\n    && true\nCOPY index.html /var/www/html\nEXPOSE 80, 443\n"
    write_context(tmp_path, dockerfile, {"index.html": PAGE})
    result = build(daemon, tmp_path, check=False)
    assert result.returncode == 1
    if daemon.kind == "havre":
        assert "80," in result.stderr
        assert "EXPOSE 80 443" in result.stderr  # the way to write it
    else:
        assert "80," in result.stderr
    write_context(tmp_path, dockerfile.replace("80, 443", "80 443"), {"index.html": PAGE})
    build(daemon, tmp_path, "-t", "exposed")
    (image,) = json.loads(daemon.docker("image", "inspect", "exposed").stdout)
    assert image["Config"]["ExposedPorts"] == {"80/tcp": {}, "443/tcp": {}}
    assert image["Author"] == "me"


def test_addresses_on_the_bridge_and_without_one(daemon: Daemon) -> None:
    first = "172.17" if daemon.kind == "havre" else "172.29"
    shown = daemon.docker("run", "--rm", "alpine", "ip", "a").stdout
    address = re.search(rf"inet ({first}\.0\.\d+)/16 brd {first}\.255\.255 scope global eth0", shown)
    assert address
    assert re.search(r"\d+: eth0@if\d+: <BROADCAST,MULTICAST,UP,LOWER_UP", shown)
    numbers = ":".join(f"{int(part):02x}" for part in address[1].split("."))
    assert f"link/ether 02:42:{numbers} brd ff:ff:ff:ff:ff:ff" in shown
    alone = daemon.docker("run", "--rm", "--net=none", "alpine", "ip", "-o", "link").stdout
    assert [line.split()[1] for line in alone.splitlines()] == ["lo:"]
    shared = daemon.docker("run", "--rm", "--net=host", "alpine", "ip", "a", "show", "eth0").stdout
    assert daemon.namespace.inside in shared


def test_a_macvlan_network(daemon: Daemon) -> None:
    options = ("-d", "macvlan", "--subnet=172.16.0.0/16", "--gateway=172.16.0.1", "-o", "parent=eth0")
    network = daemon.docker("network", "create", *options, "public").stdout.strip()
    assert re.fullmatch("[0-9a-f]{64}", network)
    listed = [line.split() for line in daemon.docker("network", "ls").stdout.splitlines()]
    assert listed[0] == ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]
    assert [network[:12], "public", "macvlan", "local"] in listed
    assert {line[1] for line in listed[1:]} == {"bridge", "host", "none", "public"}
    daemon.docker("run", "-d", "--net=public", "alpine", "sleep", "3600")
    name = daemon.docker("ps", "--format={{.Names}}").stdout.strip()
    shown = daemon.docker("exec", name, "ip", "a").stdout
    assert re.search(r"\d+: eth0@if\d+: <(NO-CARRIER,)?BROADCAST,MULTICAST,UP", shown)
    assert "link/ether 02:42:ac:10:00:02 brd ff:ff:ff:ff:ff:ff" in shown
    assert "inet 172.16.0.2/16 brd 172.16.255.255 scope global eth0" in shown


def test_a_directory_of_the_host(daemon: Daemon) -> None:
    share = daemon.directory / "share/data"
    share.mkdir(parents=True)
    (share / "from-host").write_text("hello from the host\n")
    with daemon.docker_terminal("run", "-ti", "--rm", "--volume", f"{share}:/data", "debian", "bash") as terminal:
        prompt(terminal)
        assert typed(terminal, "cat /data/from-host") == "hello from the host"
        typed(terminal, "echo hello from the container > /data/from-container")
        assert (share / "from-container").read_text() == "hello from the container\n"
        terminal.send("exit\n")
        assert terminal.wait() == 0
    assert daemon.docker("ps", "-aq").stdout == ""
    assert sorted(each.name for each in share.iterdir()) == ["from-container", "from-host"]


def images(daemon: Daemon, *names: str) -> list[list[str]]:
    """The lines of `docker images` about *names*: repository, tag, id, size."""
    lines = daemon.docker("images").stdout.splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    found = [line.split() for line in lines[1:]]
    return [[words[0], words[1], words[2], words[-1]] for words in found if words[0] in names]


def test_images_are_built_tagged_and_built_again(daemon: Daemon, tmp_path: Path) -> None:
    write_context(tmp_path, DOCKERFILE, {"index.html": PAGE})
    said = build(daemon, tmp_path, "-t", "first-image:v0.1").stdout
    assert [line for line in said.splitlines() if line.startswith("Step ")] == [
        f"Step {number}/5 : {line}" for number, line in enumerate(DOCKERFILE.splitlines(), 1)
    ]
    assert "Successfully tagged first-image:v0.1" in said
    if daemon.kind == "havre":  # dockerd's own builder has no checks
        assert "JSONArgsRecommended: JSON arguments recommended for" in said
        assert "(line 5)" in said
    assert daemon.docker("run", "--rm", "first-image:v0.1").stdout == f"installed\n{PAGE}"
    daemon.docker("tag", "first-image:v0.1", "first-image:latest")
    both = images(daemon, "first-image")
    assert sorted(line[1] for line in both) == ["latest", "v0.1"]
    assert len({line[2] for line in both}) == 1
    assert re.fullmatch(r"1\d\dMB", both[0][3])

    write_context(tmp_path, DOCKERFILE, {"index.html": "Changed\n"})
    said = build(daemon, tmp_path, "-t", "first-image:v0.2").stdout
    assert said.count("---> Using cache") == 1
    assert daemon.docker("run", "--rm", "first-image:v0.2").stdout == "installed\nChanged\n"
    assert len({line[2] for line in images(daemon, "first-image")}) == 2
    assert daemon.docker("rmi", "first-image:v0.1").stdout == "Untagged: first-image:v0.1\n"

    write_context(tmp_path, DOCKERFILE.replace("debian", "alpine"), {"index.html": PAGE})
    build(daemon, tmp_path, "-t", "small-image")
    ((_, _, _, size),) = images(daemon, "small-image")
    assert re.fullmatch(r"[12](\.\d+)?MB", size)
