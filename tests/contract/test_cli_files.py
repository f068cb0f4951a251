"""The docker CLI and the files of containers: cp, diff, export, commit. Havre and dockerd alike."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.fixtures.daemons import Daemon
from tests.fixtures.tars import tar_of

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture
def box(daemon: Daemon) -> str:
    script = "mkdir /d; echo one > /d/f; ln -s /etc /l; ln -s ../../../../etc/passwd /d/up; rm /etc/group; sleep 1000"
    daemon.docker("run", "-d", "--name", "box", "-v", "vol:/vol", "busybox", "sh", "-c", script)
    return "box"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "src"
    (directory / "sub").mkdir(parents=True)
    (directory / "a").write_text("one\n")
    (directory / "a").chmod(0o4750)
    (directory / "sub/b").write_text("two\n")
    (directory / "link").symlink_to("a")
    return directory


def sh(daemon: Daemon, script: str) -> str:
    return daemon.docker("exec", "box", "sh", "-c", script).stdout


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_in(daemon: Daemon, box: str, source: Path, stopped: bool) -> None:
    sh(daemon, "true")
    if stopped:
        daemon.docker("stop", "-t", "0", box)
    daemon.docker("cp", f"{source}", f"{box}:/new")  # not there: it gets this name
    daemon.docker("cp", f"{source}", f"{box}:/d")  # there: it goes into it
    daemon.docker("cp", f"{source}/.", f"{box}:/vol")
    daemon.docker("cp", f"{source}/a", f"{box}:/l/through")
    daemon.docker("cp", f"{source}/a", f"{box}:/d/f")
    if stopped:
        daemon.docker("start", box)
    assert sh(daemon, "cd /new; stat -c '%a %u %n' a; readlink link; cat sub/b") == "4750 0 a\na\ntwo\n"
    assert sh(daemon, "cat /d/src/sub/b /vol/sub/b /etc/through /d/f") == "two\ntwo\none\none\n"


def test_out(daemon: Daemon, box: str, tmp_path: Path) -> None:
    sh(daemon, "until test -L /d/up; do sleep 0.1; done")
    daemon.docker("cp", f"{box}:/var", f"{tmp_path}/named")
    assert (tmp_path / "named/www").is_dir()
    daemon.docker("cp", f"{box}:/d/f", f"{tmp_path}/file")
    assert (tmp_path / "file").read_text() == "one\n"
    daemon.docker("cp", "-L", f"{box}:/d/up", f"{tmp_path}/passwd")
    assert (tmp_path / "passwd").read_text() == sh(daemon, "cat /etc/passwd")
    daemon.docker("cp", f"{box}:/l/passwd", f"{tmp_path}/by-link")
    assert (tmp_path / "by-link").read_text().startswith("root:x:0")
    daemon.docker("cp", f"{box}:/etc/.", f"{tmp_path}/content")
    assert (tmp_path / "content/passwd").exists()
    # A link that leads out of what is copied is the client's to refuse.
    assert "invalid symlink" in daemon.docker("cp", f"{box}:/d", f"{tmp_path}/all", check=False).stderr


def test_streams(daemon: Daemon, box: str) -> None:
    out = subprocess.run(
        ["docker", "cp", f"{box}:/etc", "-"], capture_output=True, check=True, env=dict(daemon.cli_environ), timeout=60
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        assert "etc/passwd" in archive.getnames()
    data = tar_of({"deep/er/file": b"hello"})
    subprocess.run(["docker", "cp", "-", f"{box}:/d"], input=data, check=True, env=dict(daemon.cli_environ), timeout=60)
    assert sh(daemon, "cat /d/deep/er/file") == "hello"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("box:/nosuch", "/tmp/x"), "Could not find the file /nosuch in container box"),
        (("SRC", "box:/nosuch/a/b"), "Could not find the file /nosuch/a in container box"),
        (("SRC", "box:/d/f"), "cannot copy directory"),
        (("SRC/a", "nosuch:/x"), "No such container: nosuch"),
    ],
)
def test_errors(daemon: Daemon, box: str, source: Path, arguments: tuple[str, ...], words: str) -> None:
    assert box
    result = daemon.docker("cp", *(each.replace("SRC", str(source)) for each in arguments), check=False)
    assert result.returncode == 1
    # The docker CLI 20.10 has one sentence for all that it does not find.
    assert words in result.stderr or "No such container:path:" in result.stderr


def test_what_is_read_only(daemon: Daemon, source: Path) -> None:
    daemon.docker("run", "-d", "--name", "fixed", "--read-only", "-v", "vol:/vol:ro", "busybox", "sleep", "1000")
    for place in ("/", "/vol"):
        result = daemon.docker("cp", f"{source}/a", f"fixed:{place}/x", check=False)
        assert "is marked read-only" in result.stderr


def test_hostile_archives(daemon: Daemon, box: str, tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        link = tarfile.TarInfo("way")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        member = tarfile.TarInfo("way/escaped")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    subprocess.run(
        ["docker", "cp", "-", f"{box}:/d"], input=data.getvalue(), check=False, env=dict(daemon.cli_environ), timeout=60
    )
    assert not (tmp_path / "escaped").exists()
    daemon.docker("exec", box, "ln", "-s", str(tmp_path), "/out")
    daemon.docker("cp", "-", f"{box}:/out", stdin="", check=False)
    assert list(tmp_path.iterdir()) == []


def test_diff(daemon: Daemon, box: str) -> None:
    sh(
        daemon,
        "until test -L /d/up; do sleep 0.1; done; rm -rf /var/www; mkdir /var/www; touch /var/www/new; chmod 700 /home",
    )
    lines = set(daemon.docker("diff", box).stdout.splitlines())
    expected = {"A /d", "A /d/f", "A /d/up", "A /l", "C /etc", "D /etc/group", "C /home", "C /var", "A /var/www/new"}
    assert expected <= lines
    assert not {line for line in lines if line[2:] in ("/dev", "/proc", "/sys", "/etc/hosts", "/.dockerenv")}


def test_export(daemon: Daemon, box: str) -> None:
    sh(daemon, "until test -L /d/up; do sleep 0.1; done")
    out = subprocess.run(
        ["docker", "export", box], capture_output=True, check=True, env=dict(daemon.cli_environ), timeout=60
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        members = {member.name: member for member in archive}
        assert archive.extractfile("d/f").read() == b"one\n"  # type: ignore[union-attr]
    assert "etc/group" not in members
    assert members["bin/busybox"].mode & 0o7777 == 0o755
    assert members["l"].linkname == "/etc"
    assert members["tmp"].mode & 0o7777 == 0o1777


@pytest.mark.parametrize("pause", [True, False])
def test_commit(daemon: Daemon, box: str, pause: bool) -> None:
    sh(daemon, "until test -L /d/up; do sleep 0.1; done")
    changes = ("-c", "CMD echo committed", "-c", "ENV A=b C='d e'", "-c", "EXPOSE 80 81/udp", "-c", "WORKDIR /d")
    more = ("-c", "LABEL x=y", "-c", 'ENTRYPOINT ["env"]', "-c", 'CMD ["cat", "f"]', "-c", "USER 33")
    daemon.docker("commit", f"--pause={str(pause).lower()}", "-m", "why", "-a", "me", *changes, *more, box, "made:1")
    image = json.loads(daemon.docker("inspect", "made:1").stdout)[0]
    config = image["Config"]
    assert config["Entrypoint"] == ["env"]
    assert config["Cmd"] == ["cat", "f"]
    assert {"A=b", "C=d e"} <= set(config["Env"])
    assert config["ExposedPorts"] == {"80/tcp": {}, "81/udp": {}}
    assert (config["WorkingDir"], config["User"], config["Labels"]["x"]) == ("/d", "33", "y")
    assert (image["Author"], image["Comment"]) == ("me", "why")
    assert daemon.docker("run", "--rm", "made:1").stdout == "one\n"
    assert daemon.docker("run", "--rm", "made:1", "ls", "/etc/group", check=False).returncode == 1
    assert len(image["RootFS"]["Layers"]) == 2
    assert daemon.docker("inspect", "-f", "{{.State.Status}}", box).stdout == "running\n"
    daemon.docker("rmi", "made:1")


def test_what_is_committed_comes_back_from_an_archive(daemon: Daemon, tmp_path: Path) -> None:
    script = (
        "rm -r /etc; mkdir /etc; echo new > /etc/own; ln /etc/own /etc/twin; ln -s own /etc/alias; rm /bin/cat; "
        "mkfifo /pipe; chmod 4711 /etc/own; chown 12:34 /etc/alias -h; touch -d @86400 /etc/own; "
        "head -c 300000 /dev/zero > /z"
    )
    look = (
        "stat -c '%n %A %u %g %h %s %F %Y' /etc/own /etc/twin /etc/alias /pipe /z; ls -A /etc; ls /bin/cat || echo gone"
    )
    daemon.docker("run", "--name", "made", "busybox", "sh", "-c", script)
    daemon.docker("commit", "made", "made:kept")
    before = daemon.docker("run", "--rm", "--network=none", "made:kept", "sh", "-c", look).stdout
    image_id = daemon.docker("image", "inspect", "-f", "{{.Id}}", "made:kept").stdout
    daemon.docker("save", "-o", str(tmp_path / "made.tar"), "made:kept")
    daemon.docker("rm", "made")
    daemon.docker("rmi", "made:kept")
    daemon.docker("load", "-i", str(tmp_path / "made.tar"))
    assert daemon.docker("image", "inspect", "-f", "{{.Id}}", "made:kept").stdout == image_id
    assert "gone" in before
    assert daemon.docker("run", "--rm", "--network=none", "made:kept", "sh", "-c", look).stdout == before
    daemon.docker("rmi", "made:kept")


def test_a_change_that_is_none(daemon: Daemon, box: str) -> None:
    result = daemon.docker("commit", "-c", "RUN true", box, check=False)
    assert result.returncode == 1
    assert "RUN is not a valid change command" in result.stderr.replace("run is not", "RUN is not")
