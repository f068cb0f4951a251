"""The docker CLI and the life of containers: run, create, start, stop, kill, rm, ps, inspect, and their errors."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.fixtures.daemons import Daemon
from tests.fixtures.processes import wait_until

pytestmark = pytest.mark.usefixtures("clean")


# --- run and its exit codes


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["sh", "-c", "exit 3"], 3),
        (["true"], 0),
        (["nosuchprogram"], 127),
        (["/etc"], 126),
        (["/nosuch/path"], 127),
        (["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137),
    ],
)
def test_exit_code_of_run(daemon: Daemon, command: list[str], code: int) -> None:
    result = daemon.docker("run", "--rm", "busybox", *command, check=False)
    assert result.returncode == code, result.stderr
    assert daemon.docker("ps", "-aq").stdout == ""


def test_a_command_that_is_not_there_says_so_once(daemon: Daemon) -> None:
    result = daemon.docker("run", "busybox", "nosuchprogram", check=False)
    assert result.returncode == 127
    assert 'exec: "nosuchprogram": executable file not found in $PATH' in result.stderr
    assert "Error waiting" not in result.stderr
    assert "Created" in daemon.docker("ps", "-a").stdout


def test_an_image_that_is_not_there_gives_125(daemon: Daemon) -> None:
    name = f"{daemon.mirrors[0].removeprefix('http://')}/library/busybox:nosuchtag"
    result = daemon.docker("run", "--rm", name, check=False)
    assert result.returncode == 125
    assert result.stderr.splitlines()[0] == f"Unable to find image '{name}' locally"
    assert f"manifest for {name} not found" in result.stderr


def test_run_pulls_what_is_missing(daemon: Daemon) -> None:
    daemon.docker("rmi", "-f", "busybox")
    result = daemon.docker("run", "--rm", "busybox", "echo", "here")
    assert result.stdout == "here\n"
    assert "Unable to find image 'busybox:latest' locally" in result.stderr
    assert "Status: Downloaded newer image for busybox:latest" in result.stderr


def test_stdout_and_stderr_stay_apart(daemon: Daemon) -> None:
    result = daemon.docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (result.stdout, result.stderr) == ("out\n", "err\n")


def test_stdin_is_carried_to_its_end(daemon: Daemon) -> None:
    assert daemon.docker("run", "-i", "--rm", "busybox", "wc", "-c", stdin="x" * 200_000).stdout.strip() == "200000"


def test_environment_hostname_workdir_user(daemon: Daemon) -> None:
    script = "echo $A; hostname; pwd; id -u"
    out = daemon.docker(
        "run", "--rm", "-e", "A=b c", "-h", "box", "-w", "/tmp", "-u", "12", "busybox", "sh", "-c", script
    ).stdout
    assert out.splitlines() == ["b c", "box", "/tmp", "12"]


def test_the_hostname_is_the_short_id(daemon: Daemon) -> None:
    identifier = daemon.docker("run", "-d", "busybox", "hostname").stdout.strip()
    daemon.docker("wait", identifier)
    assert daemon.docker("logs", identifier).stdout.strip() == identifier[:12]


def test_a_terminal_has_a_shell_as_pid_1(daemon: Daemon) -> None:
    with daemon.docker_terminal("run", "-ti", "--rm", "busybox", "sh") as terminal:
        terminal.expect("# ")
        terminal.send("cat /proc/1/comm; tty; echo $((6*7))\n")
        terminal.expect("sh\r\n")
        terminal.expect("/dev/pts/0\r\n")
        terminal.expect("42\r\n")
        terminal.send("exit 5\n")
        assert terminal.wait() == 5


def test_the_terminal_has_the_size_of_the_cli(daemon: Daemon) -> None:
    with daemon.docker_terminal("run", "-ti", "--rm", "busybox", "sh") as terminal:
        terminal.resize(33, 101)
        terminal.expect("# ")
        time.sleep(0.5)
        terminal.send("stty size\n")
        terminal.expect("33 101\r\n")
        terminal.send("exit\n")
        assert terminal.wait() == 0


def test_detach_keys_leave_the_container_running(daemon: Daemon) -> None:
    with daemon.docker_terminal("run", "-ti", "--name", "kept", "busybox", "sh") as terminal:
        terminal.expect("# ")
        terminal.send("\x10\x11")
        terminal.wait()
    assert daemon.docker("inspect", "-f", "{{.State.Running}}", "kept").stdout.strip() == "true"


def test_networks_none_and_host(daemon: Daemon) -> None:
    assert "eth0" not in daemon.docker("run", "--rm", "--network", "none", "busybox", "ip", "link").stdout
    with_host = daemon.docker("run", "--rm", "--network", "host", "busybox", "ip", "-o", "link").stdout
    assert "lo:" in with_host


def test_a_network_that_is_not_there(daemon: Daemon) -> None:
    result = daemon.docker("run", "--rm", "--network", "nosuch", "busybox", "true", check=False)
    assert result.returncode == 125
    assert "network nosuch not found" in result.stderr
    assert "Unable to find image" not in result.stderr


def test_bridge_gives_an_address_and_a_name(daemon: Daemon) -> None:
    out = daemon.docker("run", "--rm", "busybox", "sh", "-c", "ip -4 addr show eth0; cat /etc/hosts; hostname").stdout
    assert re.search(r"inet 172\.\d+\.0\.\d+/16", out)
    assert out.splitlines()[-1] in out.split("localhost")[-1]


def test_a_published_port_shows_and_answers(daemon: Daemon) -> None:
    serve = "while :; do echo hi | nc -l -p 80; done"
    daemon.docker("run", "-d", "--name", "web", "-p", "18080:80", "busybox", "sh", "-c", serve)
    # CLIs before version 28 write IPv6 addresses without brackets.
    shown = daemon.docker("ps", "--format", "{{.Ports}}").stdout.strip().replace("[::]", "::")
    assert shown == "0.0.0.0:18080->80/tcp, :::18080->80/tcp"
    assert daemon.docker("port", "web").stdout.splitlines()[0] == "80/tcp -> 0.0.0.0:18080"
    with daemon.namespace.connect(18080) as connection:
        connection.settimeout(5)
        assert connection.recv(100) == b"hi\n"
    result = daemon.docker("run", "-d", "--name", "two", "-p", "18080:80", "busybox", "sleep", "9", check=False)
    assert result.returncode == 125
    assert "driver failed programming external connectivity on endpoint two" in result.stderr
    assert "Bind for 0.0.0.0:18080 failed: port is already allocated" in result.stderr
    daemon.docker("rm", "-f", "web")
    daemon.docker("start", "two")


def test_a_bind_goes_both_ways(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from the host\n")
    script = "cat /data/in; echo from inside > /data/out"
    out = daemon.docker("run", "--rm", "-v", f"{tmp_path}:/data", "busybox", "sh", "-c", script).stdout
    assert out == "from the host\n"
    assert (tmp_path / "out").read_text() == "from inside\n"
    result = daemon.docker("run", "--rm", "-v", f"{tmp_path}:/data:ro", "busybox", "touch", "/data/x", check=False)
    assert result.returncode == 1
    assert "Read-only file system" in result.stderr


def test_a_mount_of_a_path_that_is_not_there(daemon: Daemon, tmp_path: Path) -> None:
    mount = f"type=bind,src={tmp_path}/nosuch,dst=/data"
    result = daemon.docker("run", "--rm", "--mount", mount, "busybox", check=False)
    assert result.returncode == 125
    assert 'invalid mount config for type "bind": bind source path does not exist' in result.stderr


# --- ps and inspect


def test_ps_has_docker_columns_and_words(daemon: Daemon) -> None:
    daemon.docker("run", "--name", "ended", "busybox", "sh", "-c", "exit 3", check=False)
    daemon.docker("run", "-d", "--name", "going", "busybox", "sleep", "60")
    daemon.docker("create", "--name", "made", "busybox", "echo", "two words")
    header, *rows = daemon.docker("ps", "-a").stdout.splitlines()
    assert header.split("  ")[0] == "CONTAINER ID"
    assert len(rows) == 3
    line = "{{.Names}}|{{.Status}}|{{.Command}}|{{.Image}}|{{.State}}"
    made, going, ended = daemon.docker("ps", "-a", "--no-trunc", "--format", line).stdout.splitlines()
    assert made == "made|Created|\"echo 'two words'\"|busybox|created"
    assert re.fullmatch(r'going\|Up (Less than a second|\d+ seconds?)\|"sleep 60"\|busybox\|running', going)
    assert re.fullmatch(r"ended\|Exited \(3\) (Less than a second|\d+ seconds?) ago\|.*\|exited", ended)
    assert daemon.docker("ps", "--format", "{{.Names}}").stdout == "going\n"


@pytest.mark.parametrize(
    ("option", "names"),
    [
        ("status=exited", ["ended"]),
        ("name=go", ["going"]),
        ("label=colour=red", ["going"]),
        ("exited=3", ["ended"]),
        ("ancestor=busybox", ["ended", "going"]),
    ],
)
def test_filters_of_ps(daemon: Daemon, option: str, names: list[str]) -> None:
    daemon.docker("run", "--name", "ended", "busybox", "sh", "-c", "exit 3", check=False)
    daemon.docker("run", "-d", "--name", "going", "-l", "colour=red", "busybox", "sleep", "60")
    out = daemon.docker("ps", "-a", "--filter", option, "--format", "{{.Names}}").stdout
    assert sorted(out.split()) == names


def test_inspect_has_every_field_of_dockerd(daemon: Daemon, tmp_path: Path) -> None:
    daemon.docker(
        *("run", "-d", "--name", "web", "-p", "18081:80", "-e", "A=1", "-l", "k=v", "-v", f"{tmp_path}:/data:ro"),
        *("--restart", "on-failure:2", "busybox", "sleep", "60"),
    )
    [document] = json.loads(daemon.docker("inspect", "web").stdout)
    assert set(document) >= {
        *("AppArmorProfile", "Args", "Config", "Created", "Driver", "ExecIDs", "GraphDriver", "HostConfig"),
        *("HostnamePath", "HostsPath", "Id", "Image", "LogPath", "MountLabel", "Mounts", "Name", "NetworkSettings"),
        *("Path", "Platform", "ProcessLabel", "ResolvConfPath", "RestartCount", "State"),
    }
    assert document["Name"] == "/web"
    assert (document["Path"], document["Args"]) == ("sleep", ["60"])
    state = document["State"]
    assert state["Status"] == "running"
    assert state["Pid"] > 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", state["StartedAt"])
    assert state["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert document["Config"]["Labels"]["k"] == "v"
    assert "A=1" in document["Config"]["Env"]
    assert document["Config"]["Image"] == "busybox"
    host = document["HostConfig"]
    assert host["Binds"] == [f"{tmp_path}:/data:ro"]
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "18081"}]}
    [mount] = document["Mounts"]
    assert (mount["Type"], mount["Source"], mount["Destination"], mount["RW"]) == (
        "bind",
        str(tmp_path),
        "/data",
        False,
    )
    network = document["NetworkSettings"]
    assert network["Ports"]["80/tcp"][0] == {"HostIp": "0.0.0.0", "HostPort": "18081"}
    assert network["IPAddress"] == network["Networks"]["bridge"]["IPAddress"]
    assert re.fullmatch(r"02:42(:[0-9a-f]{2}){4}", network["MacAddress"])


def test_inspect_of_nothing(daemon: Daemon) -> None:
    result = daemon.docker("inspect", "nosuch", check=False)
    assert result.returncode == 1
    assert "No such object: nosuch" in result.stderr


def test_the_beginning_of_an_id_is_enough(daemon: Daemon) -> None:
    identifier = daemon.docker("create", "busybox").stdout.strip()
    for text in (identifier, identifier[:12], identifier[:4]):
        assert daemon.docker("inspect", "-f", "{{.Id}}", text).stdout.strip() == identifier


def test_an_ambiguous_beginning_is_an_error_that_says_so(daemon: Daemon) -> None:
    ids: list[str] = []
    while len({identifier[0] for identifier in ids}) == len(ids):
        ids.append(daemon.docker("create", "busybox").stdout.strip())
    result = daemon.docker("start", ids[-1][0], check=False)
    assert result.returncode == 1
    assert re.search(f"(Multiple IDs|multiple IDs) found with provided prefix: {ids[-1][0]}", result.stderr)


# --- start, stop, kill, remove


def test_a_file_outlives_the_end_of_its_container(daemon: Daemon) -> None:
    identifier = daemon.docker("create", "-i", "--name", "keeper", "busybox", "sh").stdout.strip()
    daemon.docker("start", "-ai", identifier[:6], stdin="echo kept > /file\n")
    assert daemon.docker("start", "-ai", "keeper", stdin="cat /file\n").stdout == "kept\n"
    assert daemon.docker("start", "-ai", "keeper", stdin="exit 4\n", check=False).returncode == 4


def test_start_and_stop_repeated_are_no_errors(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "box", "busybox", "sleep", "60")
    assert daemon.docker("start", "box").stdout == "box\n"
    assert daemon.docker("stop", "-t", "1", "box").stdout == "box\n"
    assert daemon.docker("stop", "box").stdout == "box\n"
    assert "Exited (137)" in daemon.docker("ps", "-a").stdout


def test_stop_is_heard_by_a_process_that_listens(daemon: Daemon) -> None:
    daemon.docker(
        "run",
        "-d",
        "--name",
        "box",
        "busybox",
        "sh",
        "-c",
        "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done",
    )
    wait_until(lambda: daemon.docker("logs", "box").stdout, what="the trap")
    daemon.docker("stop", "box")
    assert daemon.docker("inspect", "-f", "{{.State.ExitCode}}", "box").stdout.strip() == "7"


@pytest.mark.parametrize("signal", ["KILL", "SIGKILL", "9"])
def test_kill_takes_signals_in_every_spelling(daemon: Daemon, signal: str) -> None:
    daemon.docker("run", "-d", "--name", "box", "busybox", "sleep", "60")
    daemon.docker("kill", "-s", signal, "box")
    assert daemon.docker("wait", "box").stdout == "137\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["kill", "ended"], r"Cannot kill container: ended: [Cc]ontainer [0-9a-f]{64} is not running"),
        (["kill", "-s", "NOSUCH", "going"], r"[Ii]nvalid signal: NOSUCH"),
        (["exec", "ended", "true"], r"[Cc]ontainer [0-9a-f]{64} is not running"),
        (["exec", "nosuch", "true"], r"No such container: nosuch"),
        (["rm", "going"], r"(?i)cannot remove .*stop the container before"),
        (["start", "nosuch"], r"No such container: nosuch"),
        (["stop", "nosuch"], r"No such container: nosuch"),
        (["rm", "nosuch"], r"No such container: nosuch"),
        (["logs", "nosuch"], r"No such container: nosuch"),
        (
            ["create", "--name", "going", "busybox"],
            r'Conflict\. The container name "/going" is already in use by container',
        ),
        (["create", "--name", "a", "busybox"], r"Invalid container name \(a\), only \[a-zA-Z0-9\]"),
        (["create", "--name", "b/c", "busybox"], r"Invalid container name \(b/c\), only \[a-zA-Z0-9\]"),
        (["unpause", "going"], r"is not paused"),
        (["rename", "going", "ended"], r"Conflict|already in use"),
    ],
)
def test_words_of_errors(daemon: Daemon, arguments: list[str], words: str) -> None:
    daemon.docker("run", "--name", "ended", "busybox", "true")
    daemon.docker("run", "-d", "--name", "going", "busybox", "sleep", "60")
    result = daemon.docker(*arguments, check=False)
    assert result.returncode != 0
    assert re.search(words, result.stderr), result.stderr


def test_rm_force_takes_a_running_container_and_frees_its_port(daemon: Daemon) -> None:
    for _ in range(2):
        daemon.docker("run", "-d", "--name", "web", "-p", "18082:80", "busybox", "sleep", "60")
        assert daemon.docker("rm", "-f", "web").stdout == "web\n"
    assert daemon.docker("ps", "-aq").stdout == ""


def test_rm_option_removes_at_the_end(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--rm", "--name", "gone", "busybox", "sleep", "60")
    daemon.docker("stop", "-t", "0", "gone")
    deadline = time.monotonic() + 30
    while daemon.docker("ps", "-aq").stdout and time.monotonic() < deadline:
        time.sleep(0.1)
    assert daemon.docker("ps", "-aq").stdout == ""


def test_pause_and_rename(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "one", "busybox", "sleep", "60")
    daemon.docker("pause", "one")
    assert "(Paused)" in daemon.docker("ps").stdout
    daemon.docker("unpause", "one")
    daemon.docker("rename", "one", "two")
    assert daemon.docker("ps", "--format", "{{.Names}}").stdout == "two\n"


def test_events_tell_the_life_of_a_container(daemon: Daemon) -> None:
    since = str(time.time())
    daemon.docker("run", "--rm", "--name", "short", "busybox", "true")
    time.sleep(0.3)
    out = daemon.docker(
        *("events", "--since", since, "--until", str(time.time())),
        *("--filter", "type=container", "--format", "{{.Action}} {{.Actor.Attributes.name}}"),
    ).stdout
    actions = [line.split()[0] for line in out.splitlines()]
    assert [action for action in actions if action != "attach"] == ["create", "start", "die", "destroy"]
    assert all(line.endswith(" short") for line in out.splitlines())


def test_wait_prints_the_code(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "sleep 0.5; exit 9")
    assert daemon.docker("wait", "box").stdout == "9\n"


def test_attach_sees_what_comes_and_the_code(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "sleep 1; echo late; exit 6")
    result = daemon.docker("attach", "box", check=False)
    assert (result.stdout, result.returncode) == ("late\n", 6)


def test_a_client_that_vanishes_does_not_stop_its_container(daemon: Daemon) -> None:
    client = subprocess.Popen(
        ["docker", "run", "--name", "box", "busybox", "sh", "-c", "while :; do echo x; sleep 0.1; done"],
        env=dict(daemon.cli_environ),
        stdout=subprocess.PIPE,
    )
    assert client.stdout is not None
    with client.stdout:
        client.stdout.readline()
        client.kill()
        client.wait()
    time.sleep(0.5)
    assert daemon.docker("inspect", "-f", "{{.State.Running}}", "box").stdout.strip() == "true"


def test_an_image_for_another_platform_is_not_taken_for_it(daemon: Daemon, busybox: str) -> None:
    words = ("create", "--pull", "never", "--platform", "linux/arm64", busybox)
    refused = daemon.docker(*words, check=False)
    assert refused.returncode in (1, 125)
    assert "does not match the specified platform: wanted linux/arm64, actual: linux/amd64" in refused.stderr
