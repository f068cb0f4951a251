"""Secrets of builds: what a command sees of them, and that nothing else ever does."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from engine.build.agent import Key
from engine.build.errors import CommandFailed
from engine.build.progress import Event, Output
from engine.engine import Engine
from engine.errors import Cancelled, Forbidden, InvalidParameter
from engine.kernel import mounts
from tests.fixtures.builds import Told, build
from tests.fixtures.engine_host import EngineHost

VALUE = b"hunter2-Geheimnis"


def holders(top: Path, value: bytes) -> list[str]:
    """The files of *top*'s file system below it that have *value* in them."""
    device = top.stat().st_dev
    found = []
    for directory, below, files in os.walk(top):
        below[:] = [name for name in below if (Path(directory) / name).lstat().st_dev == device]
        for name in files:
            path = Path(directory) / name
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_dev == device and value in path.read_bytes():
                found.append(str(path))
    return found


FILES = """FROM box
WORKDIR /w
RUN --mount=type=secret,id=plain cd /run/secrets && test "$(stat -c %a:%u:%g plain)$(cat plain)" = 400:0:0one
RUN --mount=type=secret,target=/etc/deep/rc,id=dir/plain,mode=0440,uid=7,gid=8 \\
    test "$(stat -c %a:%u:%g /etc/deep/rc)" = 440:7:8 -a "$(cat /etc/deep/rc)" = two
RUN --mount=type=secret,target=plain test "$(cat /w/plain)" = one && ! echo x > /w/plain
RUN --mount=type=secret,id=dir/plain test "$(cat /run/secrets/plain)" = two
RUN --mount=type=secret,id=plain,env=TOKEN test "$TOKEN" = one -a ! -e /run/secrets
RUN --mount=type=secret,id=plain,env=HOME,target=/t test "$HOME$(cat /t)" = oneone
RUN --mount=type=secret,id=plain --mount=type=secret,id=both cat /run/secrets/plain /run/secrets/both
RUN test ! -e /run/secrets -a ! -e /etc/deep -a ! -e /w/plain -a -z "$TOKEN" -a ! -e /t
"""


def test_a_command_sees_the_secrets_that_it_mounts(engine: Engine) -> None:
    told = Told()
    secrets = {"plain": b"one", "dir/plain": b"two", "both": b"\n"}
    build(engine, FILES, secrets=secrets, told=told)
    assert told.output(9) == "one\n"


def test_another_value_is_no_reason_to_build_again(engine: Engine) -> None:
    """As in BuildKit; a step that is in the cache does not even ask for its secret."""
    dockerfile = "FROM box\nRUN --mount=type=secret,id=x,required cat /run/secrets/x > /dev/null; echo cached > /f\n"
    build(engine, dockerfile, secrets={"x": b"1"})
    for secrets in ({"x": b"2"}, {}):
        told = Told()
        build(engine, dockerfile, secrets=secrets, told=told)
        assert told.cached == [2]


def test_what_was_not_given_is_left_out_or_refused(engine: Engine) -> None:
    told = Told()
    build(engine, "FROM box\nRUN --mount=type=secret,id=x,env=X test ! -e /run/secrets/x -a -z $X\n", told=told)
    assert told.notes == ["# the secret x was not given: its mount is left out"]
    with pytest.raises(InvalidParameter, match="the secret x was not given"):
        build(engine, "FROM box\nRUN --mount=type=secret,id=x,required=true true\n", secrets={"y": b""})
    told = Told()
    build(engine, "FROM box\nRUN --mount=type=ssh test -z $SSH_AUTH_SOCK\n", told=told)
    assert told.notes == ["# the SSH key default was not given: its mount is left out"]
    with pytest.raises(InvalidParameter, match=r"the SSH key deploy was not given.* X-Havre-SSH: deploy=BASE64"):
        build(engine, "FROM box\nRUN --mount=type=ssh,required,id=deploy true\n")


AGENTS = """FROM box
COPY --chmod=755 . /
RUN --mount=type=ssh ssh-add -L > /listed && test "$SSH_AUTH_SOCK" = /run/buildkit/ssh_agent.0
RUN --mount=type=ssh,id=other,target=/tmp/a,mode=0640,uid=7,gid=8,required \\
    test "$SSH_AUTH_SOCK $(stat -c %a:%u:%g /tmp/a)" = "/tmp/a 640:7:8" && ssh-add -l | grep other
RUN --mount=type=ssh --mount=type=ssh,id=other \\
    ssh-add -l | grep default && SSH_AUTH_SOCK=/run/buildkit/ssh_agent.1 ssh-add -l | grep other
USER 1000
RUN --mount=type=ssh,uid=1000 ssh-add -l
RUN --mount=type=ssh ! ssh-add -l
RUN test -z "$SSH_AUTH_SOCK" -a ! -e /run/buildkit -a ! -e /tmp/a && cat /listed
"""


def program(name: str) -> dict[str, bytes]:
    """A program of the host with the libraries that it needs, as files of a context."""
    path = shutil.which(name)
    assert path is not None
    told = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    return {place.lstrip("/"): Path(place).read_bytes() for place in (path, *re.findall(r"/\S+", told))}


def test_a_command_signs_with_the_keys_that_it_mounts(engine: Engine, tmp_path: Path) -> None:
    keys = {}
    for name in ("default", "other"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(tmp_path / name)]
        subprocess.run(command, check=True)
        keys[name] = Key.parse(name, (tmp_path / name).read_bytes())
    told = Told()
    build(engine, AGENTS, program("ssh-add"), keys=keys, told=told)
    public = (tmp_path / "default.pub").read_text().split()[:2]
    assert told.output().splitlines()[-1].split()[:2] == public


def test_a_variable_holds_text_alone(engine: Engine) -> None:
    for value in (b"\xff", b"a\0b"):
        with pytest.raises(InvalidParameter, match="x is no text") as raised:
            build(engine, "FROM box\nRUN --mount=type=secret,id=x,env=X true\n", secrets={"x": value})
        assert "xff" not in str(raised.value)


def test_a_secret_is_in_memory_alone_and_then_nowhere(engine: Engine, host: EngineHost) -> None:
    dockerfile = "FROM box\nRUN --mount=type=secret,id=s,env=S --mount=type=secret,id=s,target=/s echo at; sleep 100\n"
    on_disk: list[str] = []
    in_memory: list[str] = []

    class Looking(Told):
        def __call__(self, event: Event) -> None:
            super().__call__(event)
            if isinstance(event, Output):
                on_disk.extend(holders(host.config.root, VALUE))
                in_memory.extend(holders(host.config.run, VALUE))
                self.cancel.set()

    with pytest.raises(Cancelled):
        build(engine, dockerfile, secrets={"s": VALUE}, told=Looking())
    assert on_disk == []
    assert in_memory
    assert holders(host.directory, VALUE) == []
    build(engine, "FROM box\nRUN --mount=type=secret,id=s,env=S test -n $S && echo made > /f\n", secrets={"s": VALUE})
    with pytest.raises(CommandFailed):
        build(engine, "FROM box\nRUN --mount=type=secret,id=s,env=S false\n", secrets={"s": VALUE})
    assert holders(host.directory, VALUE) == []


def test_a_run_directory_on_disk_gets_no_secrets(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    dockerfile = "FROM box\nRUN --mount=type=secret,id=s true\n"
    monkeypatch.setattr(mounts, "kind_at", lambda _: "ext4")
    with pytest.raises(Forbidden, match="the engine's run directory is on ext4"):
        build(engine, dockerfile, secrets={"s": VALUE})
    build(engine, dockerfile)


def test_the_kind_of_a_file_system() -> None:
    assert mounts.kind_at(Path("/proc/self")) == "proc"
    assert mounts.kind_at(Path("/dev/shm/x")) == "tmpfs"
    assert mounts.kind_at(Path("/procx")) == mounts.kind_at(Path("/"))


def test_what_is_told_of_a_build_has_no_secret(engine: Engine) -> None:
    told = Told()
    image = build(engine, "FROM box\nRUN --mount=type=secret,id=s,env=S test -n $S\n", secrets={"s": VALUE}, told=told)
    assert VALUE.decode() not in repr(told.events)
    assert VALUE.decode() not in json.dumps(json.loads(engine.images.raw_config(image)))
