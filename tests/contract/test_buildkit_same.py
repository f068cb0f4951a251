"""The contexts of `test_build_same.py`, and some that only BuildKit knows, built by dockerd's BuildKit and by Havre.

dockerd carries BuildKit with its Dockerfile language of version 1.2. A docker CLI from before buildx speaks with it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.contract.test_build_same import CASES, TREE, Case, case
from tests.fixtures.built import build, saved, write_context
from tests.fixtures.daemons import Daemon, HavreDaemon, PeerDaemon

ONLY: Final = [
    case(
        "chmod",
        "FROM scratch",
        "COPY --chmod=640 f /f",
        "ADD --chmod=0751 --chown=3:4 x.txt y.txt /x/",
        "COPY --chmod=700 e d/a /d/",
        files=TREE,
        quick=True,
    ),
    case("chmod-takes-special-bits", "FROM scratch", "COPY --chmod=700 d /d", files=TREE),
    case(
        "mounts",
        "FROM busybox AS other",
        "RUN echo stage > /s && mkdir /deep && echo below > /deep/f",
        "FROM busybox",
        "RUN --mount=target=/ctx cat /ctx/f /ctx/d/sub/b > /bound && ! touch /ctx/x",
        "RUN --mount=type=bind,source=d,target=/new/place,rw touch /new/place/lost && cat /new/place/a > /written",
        "RUN --mount=type=bind,from=other,source=deep,target=/o cat /o/f > /staged",
        "RUN --mount=type=bind,from=busybox,source=/bin,target=/b ls /b | wc -l > /imaged",
        "RUN --mount=type=tmpfs,target=/t grep -c ' /t tmpfs ' /proc/mounts > /memory && echo lost > /t/lost",
        "RUN --mount=type=cache,target=/c,mode=0711,uid=3,gid=4 stat -c '%a %u %g' /c > /cached && echo lost > /c/lost",
        "RUN --mount=type=cache,target=/in,id=other,from=other,source=/deep,sharing=locked cat /in/f > /filled",
        "RUN --mount=type=secret,id=none --mount=type=ssh test ! -e /run/secrets/none",
        "FROM scratch",  # BuildKit leaves the places behind that it has mounted on
        "COPY --from=1 /bound /written /staged /imaged /memory /cached /filled /",
        files=TREE,
        quick=True,
    ),
    case(
        "arguments-of-the-platform",
        "FROM --platform=$BUILDPLATFORM busybox",
        "ARG TARGETPLATFORM",
        "ARG TARGETOS TARGETARCH BUILDOS BUILDARCH",
        "ARG TARGETVARIANT",
        "RUN echo $TARGETPLATFORM $TARGETOS $TARGETARCH $BUILDOS $BUILDARCH .$TARGETVARIANT. $BUILDPLATFORM > /f",
        quick=True,
    ),
    case("copy-several-of-an-image", "FROM scratch", "COPY --from=busybox /etc/group /etc/passwd /x/"),
]

DIFFERS: Final[Mapping[str, Mapping[str, str]]] = {
    "arg-several": {"config": "newer BuildKits let an argument see those before it in its line, and so does Havre"},
    "workdir-cleaned": {"config": "newer BuildKits clean the path, and so does Havre"},
    "workdir-of-a-user": {"files": "a command has the supplementary groups that `docker run` gives, in dockerd's too"},
    "workdir-of-an-unknown-user": {"fails": "only RUN asks for the user here"},
    "add-tar-chown": {"files": "newer BuildKits give an archive's files to who is named, and so does Havre"},
    "chmod-takes-special-bits": {"files": "newer BuildKits set exactly these bits, and so does Havre"},
    "run-hosts-files": {"fails": "BuildKit has no /etc/hostname"},
}
"""By the name of a case: what is different on purpose, and the reason. `fails` is what BuildKit refuses."""


@cache
def client() -> str:
    """A docker CLI that speaks with BuildKit by itself, "" where there is none: those from 23 on leave it to buildx."""
    for path in ("/usr/bin/docker", "/usr/local/bin/docker"):
        if shutil.which(path):
            told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
            found = re.search(r"version (\d+)", told)
            if found and int(found[1]) < 23:
                return path
    return ""


@pytest.fixture
def both(havre: HavreDaemon, dockerd: PeerDaemon) -> tuple[HavreDaemon, PeerDaemon]:
    if not client():
        pytest.skip("no docker CLI here speaks with BuildKit without buildx")
    for daemon in (havre, dockerd):
        if daemon.docker("image", "inspect", "busybox", check=False).returncode:
            daemon.docker("pull", "-q", "busybox")
    return havre, dockerd


def build_by_buildkit(daemon: PeerDaemon, directory: Path, *arguments: str) -> str:
    """Build it; what BuildKit says where it does not."""
    done = subprocess.run(
        [client(), "build", "--progress=plain", *arguments, str(directory)],
        env={**daemon.cli_environ, "DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stderr if done.returncode else ""


def made(daemon: Daemon, name: str) -> dict[str, object]:
    """What both must agree on: the config, the author and all files, by whichever layers.

    BuildKit writes down what is so anyway: that the working directory is the root, and something about Windows. The
    directories that it mounts its own files in are in the layer of every RUN, and those that it copies are new.
    """
    image = saved(daemon, name)
    config = {
        key: value for key, value in image.config["config"].items() if value and key not in ("Image", "ArgsEscaped")
    }
    if config.get("WorkingDir") == "/":
        del config["WorkingDir"]
    return {"config": config, "author": image.config.get("author", ""), "files": files(image.layers)}


def files(layers: Iterable[Sequence[str]]) -> list[str]:
    """The lines of *layers* on top of each other."""
    found: dict[str, str] = {}
    for layer in layers:
        above: dict[str, str] = {}
        for line in layer:
            name = re.split(r" [-dlpch](?=[0-7]{4} )", line)[0]
            directory, _, last = name.rpartition("/")
            if last == ".wh..wh..opq":
                found = {each: text for each, text in found.items() if not each.startswith(f"{directory}/")}
            elif last.startswith(".wh."):
                gone = f"{directory}/{last[4:]}".lstrip("/")
                found = {each: text for each, text in found.items() if each != gone and not each.startswith(f"{gone}/")}
            else:
                above[name] = re.sub(r"( d[0-7]{4} .*) (now|then)$", r"\1", line)
        for name, line in above.items():
            if " d" not in line[len(name) : len(name) + 2]:
                found = {each: text for each, text in found.items() if not each.startswith(f"{name}/")}
            found[name] = line
    return sorted(found.values())


@pytest.mark.parametrize(
    "case",
    [
        *(pytest.param(each, id=each.name, marks=pytest.mark.slow) for each in CASES),
        *(pytest.param(each, id=each.name, marks=() if each.quick else pytest.mark.slow) for each in ONLY),
    ],
)
def test_buildkit_makes_the_same(case: Case, both: tuple[HavreDaemon, PeerDaemon], tmp_path: Path) -> None:
    write_context(tmp_path, case.dockerfile, case.files)
    arguments = [argument.replace("{context}", str(tmp_path)) for argument in case.arguments]
    havre, dockerd = both
    differs = DIFFERS.get(case.name, {})
    build(havre, tmp_path, "-t", "same", *arguments)
    refused = build_by_buildkit(dockerd, tmp_path, "-t", "same", *arguments)
    assert bool(refused) is ("fails" in differs), refused
    if refused:
        return
    ours, theirs = made(havre, "same"), made(dockerd, "same")
    for aspect in ours:
        if aspect in differs:
            assert ours[aspect] != theirs[aspect], f"{aspect} is the same now: {differs[aspect]}"
        else:
            assert ours[aspect] == theirs[aspect], aspect
