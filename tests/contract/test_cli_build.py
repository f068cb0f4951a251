"""`docker build` as people type it, on both engines."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fixtures.built import File, build, comparable, write_context
from tests.fixtures.daemons import Daemon, HavreDaemon, PeerDaemon
from tests.fixtures.processes import wait_until


@pytest.mark.usefixtures("busybox")
def test_build_numbers_its_steps_and_names_the_image(daemon: Daemon, tmp_path: Path) -> None:
    write_context(tmp_path, "ARG TAG=latest\nFROM busybox:$TAG\nRUN echo hello; echo oops >&2\nCMD echo hi\n", {})
    out = build(daemon, tmp_path, "-t", "steps:1", "-t", "steps:2").stdout.splitlines()
    assert out[0].startswith("Sending build context to Docker daemon")
    steps = [line for line in out if line.startswith("Step ")]
    assert steps == [
        "Step 1/4 : ARG TAG=latest",
        "Step 2/4 : FROM busybox:$TAG",
        "Step 3/4 : RUN echo hello; echo oops >&2",
        "Step 4/4 : CMD echo hi",
    ]
    text = "\n".join(out)
    assert re.search(r"^ ---> Running in [0-9a-f]{12}$", text, re.MULTILINE)
    assert re.search(r"Removing intermediate container [0-9a-f]{12}$", text, re.MULTILINE)
    assert "hello" in text
    image = daemon.docker("image", "inspect", "-f", "{{.Id}}", "steps:1").stdout.strip().removeprefix("sha256:")
    assert out[-3:] == [
        f"Successfully built {image[:12]}",
        "Successfully tagged steps:1",
        "Successfully tagged steps:2",
    ]
    assert out[-4].strip() == f"---> {image[:12]}"
    assert daemon.docker("run", "--rm", "steps:2").stdout == "hi\n"


@pytest.mark.usefixtures("busybox")
def test_a_second_build_uses_the_cache_up_to_what_changed(daemon: Daemon, tmp_path: Path) -> None:
    write_context(tmp_path, "FROM busybox\nRUN echo 1 > /one\nCOPY page /page\nRUN cat /page > /two\n", {"page": "a"})
    first = build(daemon, tmp_path, "-q").stdout
    again = build(daemon, tmp_path).stdout
    assert again.count("---> Using cache") == 3
    assert build(daemon, tmp_path, "-q").stdout == first
    write_context(tmp_path, (tmp_path / "Dockerfile").read_text(), {"page": "b"})
    changed = build(daemon, tmp_path, "-t", "changed").stdout
    assert changed.count("---> Using cache") == 1
    assert daemon.docker("run", "--rm", "changed", "cat", "/two").stdout == "b"
    assert build(daemon, tmp_path, "--no-cache").stdout.count("Using cache") == 0


@pytest.mark.usefixtures("busybox")
def test_a_command_that_fails_fails_the_build_with_its_code(daemon: Daemon, tmp_path: Path) -> None:
    write_context(tmp_path, "FROM busybox\nRUN echo before; exit 7\nRUN touch /never\n", {})
    result = build(daemon, tmp_path, "-t", "never", check=False)
    assert result.returncode == 7
    assert "before" in result.stdout
    assert "The command '/bin/sh -c echo before; exit 7' returned a non-zero code: 7" in result.stderr
    assert daemon.docker("image", "inspect", "never", check=False).returncode == 1
    assert daemon.docker("ps", "-aq", "--filter", "status=running").stdout == ""


@pytest.mark.usefixtures("busybox")
def test_a_step_that_kills_itself_is_told_by_its_signal(daemon: Daemon, tmp_path: Path) -> None:
    """The first shell is beyond its own signals; the one that it starts is not."""
    write_context(tmp_path, "FROM busybox\nRUN kill -9 $$; echo alive\nRUN sh -c 'kill -9 $$'; exit $?\n", {})
    result = build(daemon, tmp_path, check=False)
    assert "alive" in result.stdout
    assert result.returncode == 137
    assert "returned a non-zero code: 137" in result.stderr


@pytest.mark.usefixtures("busybox")
def test_control_c_stops_the_build(daemon: Daemon, tmp_path: Path) -> None:
    write_context(tmp_path, "FROM busybox\nRUN echo begun; sleep 604\n", {})
    # Tests that run in the background of a shell have SIGINT ignored, and so would the CLI.
    with subprocess.Popen(
        ["env", "--default-signal=INT", "docker", "build", "-t", "never", str(tmp_path)],
        env=dict(daemon.cli_environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any(line == "begun\n" for line in process.stdout)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)  # newer CLIs end with 0 or 130, whichever of their errors comes first
    wait_until(lambda: not running("sleep", "604"), what="the command to end")
    if isinstance(daemon, HavreDaemon):  # dockerd's container stays at times
        wait_until(lambda: not daemon.docker("ps", "-aq").stdout, what="the containers to go")
    assert daemon.docker("image", "inspect", "never", check=False).returncode == 1


def running(*words: str) -> bool:
    """Whether a process with that command line is anywhere on the host."""
    wanted = b"".join(word.encode() + b"\0" for word in words)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            if path.read_bytes() == wanted:
                return True
    return False


def test_a_context_of_ten_gibibytes_is_refused_at_once(havre: HavreDaemon, tmp_path: Path) -> None:
    """By what its first header says, before the client has read the file."""
    write_context(tmp_path, "FROM busybox\n", {})
    with (tmp_path / "a").open("wb") as file:
        file.truncate(10 << 30)
    result = build(havre, tmp_path, check=False)
    assert result.returncode == 1
    assert "the build context is refused: more than the 8589934592 bytes that are allowed" in result.stderr
    assert not list((havre.directory / "root/builds").iterdir())


def test_the_cache_is_pruned_by_size_and_age(havre: HavreDaemon, tmp_path: Path) -> None:
    def left() -> set[str]:
        """What stays of the three, by the letter of its file."""
        text = havre.namespace.run(
            "curl", "-s", "--unix-socket", str(havre.socket), "http://d/v1.44/system/df?type=build-cache"
        ).stdout
        found = [entry["Description"] for entry in json.loads(text)["BuildCache"]]
        return {line[-1] for line in found if "/dev/zero" in line}

    havre.docker("builder", "prune", "-af")
    for name in "abc":
        write_context(tmp_path, f"FROM busybox\nRUN head -c 1000000 /dev/zero > /{name}\nRUN false\n", {})
        build(havre, tmp_path, check=False)
    assert left() == {"a", "b", "c"}
    havre.docker("builder", "prune", "-f", "--filter", "until=1h")
    assert left() == {"a", "b", "c"}
    out = havre.docker("builder", "prune", "-f", "--keep-storage", "1500000").stdout
    assert left() == {"c"}, "the one that was used last"
    assert "Total:\t2MB" in out or "Total reclaimed space: 2MB" in out, out
    havre.docker("builder", "prune", "-f", "--filter", "until=1ms")
    assert left() == set()


@pytest.mark.usefixtures("busybox")
def test_what_is_not_in_the_context_is_said(daemon: Daemon, tmp_path: Path) -> None:
    write_context(tmp_path, "FROM busybox\nCOPY nosuch /\n", {})
    result = build(daemon, tmp_path, check=False)
    assert result.returncode == 1
    assert "COPY failed: file not found in build context or excluded by .dockerignore: stat nosuch" in result.stderr


@pytest.mark.parametrize(
    ("dockerfile", "words"),
    [
        ("FROM busybox\nFOO bar\n", "unknown instruction: FOO"),
        ("FROM busybox\nENV\n", "ENV requires at least one argument"),
        ("RUN true\n", "no build stage in current context"),
        ("# nothing\n", "file with no instructions"),
        ("", "cannot be empty"),
    ],
)
def test_a_dockerfile_that_means_nothing_is_refused(
    daemon: Daemon, tmp_path: Path, dockerfile: str, words: str
) -> None:
    write_context(tmp_path, dockerfile, {})
    result = build(daemon, tmp_path, check=False)
    assert result.returncode == 1
    assert words in result.stderr
    assert "Step" not in result.stdout


@pytest.mark.usefixtures("busybox")
def test_only_what_the_target_needs_is_built(daemon: Daemon, tmp_path: Path) -> None:
    dockerfile = "FROM busybox AS one\nRUN echo 1 > /f\nFROM busybox AS two\nRUN exit 9\n"
    write_context(tmp_path, dockerfile, {})
    build(daemon, tmp_path, "--target", "one", "-t", "target")
    assert daemon.docker("run", "--rm", "target", "cat", "/f").stdout == "1\n"
    result = build(daemon, tmp_path, "--target", "nosuch", check=False)
    assert "failed to reach build target nosuch in Dockerfile" in result.stderr


COPIES = """
FROM busybox AS s
RUN mkdir -m 750 /ex && chown 3:4 /ex && ln -s /real /lnk && mkdir /real && echo old > /ex/sub && ln -s /real /ex/la \\
    && mkdir -p /own && chown 9:9 /own && touch /own/f && chown 10:11 /own/f
FROM s
COPY d /new
COPY d /ex/
COPY d /lnk/in
COPY d/a /lnk
COPY d/a /p1/p2/f
COPY d/a /p3/
COPY ld /ld
COPY lf /lf
COPY l* /many/
COPY --chown=33 d /ch
COPY --from=s /own /own2
COPY --from=s --chown=1:2 /own /own3
COPY /d/a d/sub /
ADD d/a d/sub /added/
WORKDIR /made/here
COPY d/sub/b .
COPY d/sub/b relative/b
WORKDIR there
RUN rm -r /new/sub && touch /etc/x && rm /bin/yes
"""
COPIED = {
    "d/": File(mode=0o700),
    "d/a": File("a\n", mode=0o600),
    "d/sub/": File(mode=0o711),
    "d/sub/b": "b\n",
    "d/la": File(link="a"),
    "ld": File(link="d"),
    "lf": File(link="d/a"),
    "labs": File(link="/d/a"),
}
CONFIG = """
FROM busybox
MAINTAINER me
ARG FOO=1
ARG BAR
ENV A=b C="d e" D=$FOO
ENV OLD some value
ENV A=${A:-x}y E=${NONE:+z}
LABEL x=y z="a b"
RUN echo $FOO $BAR
EXPOSE 80 443/udp $FOO
VOLUME /vol
VOLUME ["/v1", "/v2"]
USER 1000:1000
CMD echo before
SHELL ["/bin/sh", "-ec"]
CMD echo hi "$A"
ENTRYPOINT ["/bin/echo", "x"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=90s --retries=2 CMD true
ONBUILD RUN echo triggered > /t
ONBUILD COPY . /on
"""


@pytest.fixture
def both(havre: HavreDaemon, dockerd: PeerDaemon) -> tuple[HavreDaemon, PeerDaemon]:
    for daemon in (havre, dockerd):
        if daemon.docker("image", "inspect", "busybox", check=False).returncode:
            daemon.docker("pull", "-q", "busybox")
    return havre, dockerd


@pytest.mark.parametrize(
    ("dockerfile", "files", "arguments"),
    [
        pytest.param(COPIES, COPIED, (), id="copies"),
        pytest.param(CONFIG, {"f": "x"}, ("--build-arg", "BAR=zz", "--label", "l=it's $A"), id="config"),
    ],
)
def test_both_engines_make_the_same_image(
    both: tuple[HavreDaemon, PeerDaemon],
    tmp_path: Path,
    dockerfile: str,
    files: dict[str, str | File],
    arguments: tuple[str, ...],
) -> None:
    write_context(tmp_path, dockerfile.lstrip(), files)
    made = []
    for daemon in both:
        build(daemon, tmp_path, "-t", "same", *arguments)
        made.append(comparable(daemon, "same"))
    ours, theirs = made
    for name, value in theirs.items():
        assert ours[name] == value, name
