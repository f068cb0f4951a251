"""Havre and dockerd side by side, with images: the same commands to both, and what both say and make of it.

Ids are numbered in the order in which they are told, times and directories get a word; all else must be the same,
error messages too. What may differ is listed, each with its reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.contract.test_parity import differences, flat
from tests.fixtures.daemons import Daemon, HavreDaemon, PeerDaemon
from tests.fixtures.tars import tar_of

DOCKERFILE: Final = """\
FROM busybox
LABEL kind=child "spaced key"="a b"
MAINTAINER ada
ENV A=b C="d e"
ARG WHAT=x
RUN echo hello > /hello
COPY file /file
USER 1:1
WORKDIR /work
EXPOSE 80 90/udp
VOLUME /v
STOPSIGNAL 9
HEALTHCHECK --interval=30s --retries=2 CMD true
SHELL ["/bin/sh", "-ec"]
ONBUILD RUN true
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["a b", "c"]
"""
IMPORTED: Final = (
    *("-c", "ENV a=b", "-c", "CMD echo x", "-c", "EXPOSE 80/tcp", "-c", "LABEL made=here", "-c", "USER 5"),
    *("-c", "WORKDIR /w", "-c", "VOLUME /v", "-c", 'ENTRYPOINT ["/e"]', "-m", "words"),
)
Command = Sequence[str]


@dataclass(frozen=True)
class Told:
    """What came of a command."""

    command: str
    code: int
    lines: list[str]
    errors: str


class Transcript:
    """What one engine answers to commands, with its own ids, times and directories taken out."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self._numbers: dict[str, str] = {}

    def run(self, commands: Sequence[Command]) -> list[Told]:
        found = []
        for command in commands:
            done = self.daemon.docker(*map(self._resolved, command), check=False)
            lines = done.stdout.splitlines()
            told = [self.plain(line) for line in lines]
            if command[0] in ("images", "image"):
                # Images of the same age have no order in a list, none at all in a prune.
                told = sorted(re.sub(r"<\d+>", "<>", line) for line in told)
            found.append(Told(" ".join(command), done.returncode, told, self.plain(done.stderr)))
        return found

    def plain(self, text: str) -> str:
        text = re.sub(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b", self._number, text)
        text = re.sub(r"\d{4}-\d\d-\d\d[T ][\d:.]+( ?[-+]\d\d:?\d\d|Z)?( \w+)?", "TIME", text)
        text = re.sub(r"file:[0-9a-f]{16,}|(?<=Total reclaimed space: ).*", "…", text)  # Havre counts compressed copies
        text = re.sub(r" \(library/\w+\)", "", text)  # newer words
        text = re.sub(r"(Less than a second|About an? \w+|\d+ \w+) ago", "AGO", text)
        return re.sub(r" {2,}", "  ", text.replace(str(self.daemon.directory), "DIRECTORY"))

    def _number(self, found: re.Match[str]) -> str:
        short = found[0][:12]
        return self._numbers.setdefault(short, f"<{len(self._numbers)}>")

    def _resolved(self, word: str) -> str:
        """`@name` is the id of an image, `@12name` the first twelve digits of it."""
        if not word.startswith("@"):
            return word
        digits, name = re.fullmatch(r"@(\d*)(.+)", word).groups()  # type: ignore[union-attr]
        whole = self.daemon.docker("image", "inspect", "-f", "{{.Id}}", name, check=False).stdout.strip() or name
        return whole.removeprefix("sha256:")[: int(digits)] if digits else whole


FILES: Final = {
    "context/Dockerfile": DOCKERFILE.encode(),
    "context/file": bytes(1000),
    "fs.tar": tar_of({"etc/motd": b"hello\n"}),
}
"""What lies in the CLI's directory."""
MADE: Final = ("busybox", "alpine", "built:1", "imported:1", "committed:1")
NOWHERE: Final = "0" * 64


def prepare(daemon: Daemon) -> None:
    """Images, some of them made by the engine itself."""
    for name, data in FILES.items():
        (daemon.directory / name).parent.mkdir(exist_ok=True)
        (daemon.directory / name).write_bytes(data)
    for name in ("busybox", "alpine", "hello-world"):
        daemon.docker("pull", "-q", name)
    daemon.docker("build", "-q", "-t", "built:1", "context")
    daemon.docker("import", *IMPORTED, "fs.tar", "imported:1")
    made = daemon.docker("create", "-e", "X=y", "alpine", "true").stdout.strip()
    daemon.docker("commit", "-a", "ada", "-m", "words", "-c", "CMD z", made, "committed:1")
    daemon.docker("rm", made)


@pytest.fixture(scope="module")
def pair(havre: HavreDaemon, dockerd: PeerDaemon) -> tuple[Daemon, Daemon]:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(prepare, (havre, dockerd)))
    return havre, dockerd


# --- what is looked at


def history(name: str) -> list[Command]:
    return [
        ("history", name),
        ("history", "--no-trunc", name),
        ("history", "-q", "--no-trunc", name),
        ("history", "--human=false", "--format", "{{.ID}}|{{.CreatedBy}}|{{.Size}}|{{.Comment}}", name),
        ("history", "--format", "json", "@12" + name),
    ]


FILTERS: Final = (
    *(
        "before=built:1",
        "since=alpine",
        "before=nosuch",
        "since=nosuch",
        "before=a b",
        "label=kind",
        "label=kind=child",
    ),
    *("label=kind=x", "label=made", "label=spaced key=a b", "reference=busybox", "reference=busy*"),
    *("reference=*:1", "reference=*/*", "reference=built", "reference=[", "reference=docker.io/library/busybox"),
    *("reference=@", "dangling=true", "dangling=false", "dangling=x", "nosuch=1", "reference=b?sybox"),
    *("reference=bu[a-z]ybox:l*", "label=", "before=", "reference="),
)


SHOWN: Final = "--format={{.Repository}}|{{.Tag}}|{{.Digest}}|{{.Size}}"

LOOKS: Final[dict[str, Sequence[Command]]] = {
    **{f"history of {name}": history(name) for name in MADE},
    "filters of the list": [("images", SHOWN, f"--filter={each}") for each in FILTERS],
    "the list": [
        ("images", "busybox"),
        ("images", "-q", "--no-trunc", "busybox"),
        ("images", "--digests", "alpine"),
        ("images", "nosuch"),
        ("images", "busybox:nosuch"),
        ("images", "UPPER"),
        ("images", "-a", "--format={{.Repository}}:{{.Tag}} {{.Size}} {{.SharedSize}} {{.UniqueSize}}", "built"),
        ("tag", "busybox", "busybox:again"),
        ("images", "--digests", "busybox"),
        ("rmi", "busybox:again"),
    ],
    "tags that cannot be": [
        ("tag", "--", *words)
        for words in (
            ("nosuch", "x:1"),
            ("busybox", "UPPER"),
            ("busybox", "x:a b"),
            ("busybox", ""),
            ("busybox", f"x@sha256:{NOWHERE}"),
            ("busybox", "sha256:1"),
            ("busybox", NOWHERE),
            ("busybox", "x:" + "a" * 129),
            ("busybox", "a" * 300),
            ("busybox", "-x"),
            ("busybox", "x/"),
            ("busybox", "host:port/x"),
            ("", "x"),
            (f"busybox@sha256:{NOWHERE}", "x"),
            (f"sha256:{NOWHERE}", "x"),
            ("a b", "x"),
        )
    ],
    "save of what is not there": [
        ("save", "-o", "x.tar", "nosuch"),
        ("save", "-o", "x.tar", "busybox", "nosuch:1"),
        ("save", "-o", "x.tar", "UPPER"),
        ("save", "-o", "x.tar", NOWHERE),
        ("save", "-o", "x.tar", f"busybox@sha256:{NOWHERE}"),
        ("load", "-i", "nosuch.tar"),
    ],
    "changes that an import cannot make": [
        ("import", "-c", change, "fs.tar", "changed:1")
        for change in (
            *("RUN x", "FROM x", "COPY a b", "NOSUCH x", "ENV", "ENV a", "EXPOSE x", "EXPOSE 70000", "CMD [x"),
            *("LABEL", "USER", "WORKDIR", "VOLUME", "HEALTHCHECK x", "ONBUILD FROM x"),
            *("SHELL x", "MAINTAINER x", "ARG x"),
        )
    ],
    "imports that cannot be": [
        ("import", "fs.tar", "UPPER"),
        ("import", "fs.tar", f"x@sha256:{NOWHERE}"),
        ("import", "http://127.0.0.1:1/x.tar"),
        ("import", "ftp://127.0.0.1/x.tar"),
        ("import", "nosuch"),
        ("import", "--platform=nosuch/x", "fs.tar"),
    ],
    "searches that fail": [
        ("search", "127.0.0.1:1/x"),
        ("search", "--limit=200", "x"),
        ("search", "--filter=nosuch=1", "x"),
        ("search", "--filter=stars=x", "x"),
        ("search", "--filter=is-official=x", "x"),
    ],
}

REMOVALS: Final[dict[str, Sequence[Command]]] = {
    "what is not there": [
        ("rmi", "nosuch"),
        ("rmi", "-f", "nosuch"),
        ("rmi", "nosuch:1", "x/y@sha256:" + "0" * 64),
        ("rmi", "0" * 64),
        ("rmi", "sha256:" + "0" * 64),
        ("rmi", "UPPER"),
        ("rmi", "a b"),
        ("rmi", ""),
    ],
    "one of two": [("tag", "busybox", "x:1"), ("rmi", "nosuch", "x:1"), ("images", "-q", "x")],
    "a running container": [
        ("tag", "hello-world", "x:1"),
        ("rmi", "hello-world"),
        ("run", "-d", "--name=user", "x:1", "sleep", "100"),
        ("rmi", "x:1"),
        ("rmi", "@x:1"),
        ("rmi", "@12x:1"),
        ("rmi", "-f", "@x:1"),
        ("rmi", "-f", "x:1"),
        ("images", "x"),
        ("inspect", "-f", "{{.Config.Image}} {{.Image}}", "user"),
        ("ps", "--format={{.Image}}"),
        ("pull", "-q", "hello-world"),
        ("ps", "--format={{.Image}}"),
        ("rm", "-f", "user"),
    ],
    "a stopped container": [
        ("tag", "hello-world", "x:1"),
        ("rmi", "hello-world"),
        ("create", "--name=user", "x:1", "true"),
        ("rmi", "x:1"),
        ("rmi", "@12x:1"),
        ("rmi", "-f", "@12x:1"),
        ("images", "-a", "x"),
        ("ps", "-a", "--format={{.Image}}"),
        ("rm", "user"),
        ("pull", "-q", "hello-world"),
    ],
    "one of several names of what is used": [
        ("create", "--name=user", "hello-world", "true"),
        ("tag", "hello-world", "x:1"),
        ("tag", "hello-world", "x:2"),
        ("rmi", "x:1"),
        ("rmi", "@hello-world"),
        ("rmi", "x:2"),
        ("rm", "user"),
    ],
    "an id with two names in one repository": [
        ("tag", "imported:1", "imported:2"),
        ("rmi", "@8imported:1"),
        ("images", "imported"),
        ("rmi", "-f", "@8imported:1"),
        ("images", "imported"),
    ],
    "an id with names in two repositories": [
        ("tag", "hello-world", "x:1"),
        ("rmi", "@hello-world"),
        ("rmi", "@3hello-world"),
        ("rmi", "-f", "@hello-world"),
        ("images", "x"),
        ("pull", "-q", "hello-world"),
    ],
    "a parent": [
        ("rmi", "@busybox"),
        ("rmi", "-f", "@busybox"),
        ("rmi", "busybox"),
        ("images", "busybox"),
        ("images", "-a", "-q", "busybox"),
        ("pull", "-q", "busybox"),
        ("rmi", "@alpine"),
        ("rmi", "alpine"),
        ("pull", "-q", "alpine"),
    ],
    "a child, with and without its parents": [
        ("tag", "built:1", "x:1"),
        ("rmi", "built:1"),
        ("rmi", "--no-prune", "x:1"),
        ("images", "-f", "dangling=true", "-q"),
        ("image", "prune", "-f"),
    ],
    "by digest": [
        ("images", "--digests", "--format={{.Digest}}", "hello-world"),
        ("rmi", "hello-world@sha256:" + "0" * 64),
        ("rmi", "hello-world:latest"),
        ("images", "--digests", "hello-world"),
        ("pull", "-q", "hello-world"),
    ],
    "a name that another image took": [
        ("tag", "hello-world", "x:1"),
        ("tag", "alpine", "x:1"),
        ("images", "x"),
        ("rmi", "x:1"),
    ],
}


# Last, since everything is gone afterwards.
PRUNES: Final[Sequence[Command]] = (
    ("image", "prune", "-f", "--filter", "nosuch=1"),
    ("image", "prune", "-f", "--filter", "label=nosuch"),
    ("image", "prune", "-f"),
    ("image", "prune", "-af", "--filter", "until=1h", "--filter", "label=nosuch"),
    ("image", "prune", "-af", "--filter", "label!=made", "--filter", "label!=kind", "--filter", "until=24h"),
    ("image", "prune", "-af", "--filter", "label=made=here"),
    ("images", "--format={{.Repository}}:{{.Tag}}"),
    ("image", "prune", "-af"),
    ("images", "-a"),
)


TABLE: Final = {**LOOKS, **REMOVALS, "prune": PRUNES}


INSPECT: Final = {
    r"\.(Id|Parent|Created|RepoDigests)": "of what each has made itself",
    r"\.GraphDriver\.Data.*": "directories of each engine's own",
    r"\.(Container|ContainerConfig\.Hostname|ContainerConfig\.Image|Config\.Image)": "ids",
    r"\.RootFS\.Layers": "of what each has made itself",
    r"\.DockerVersion": "of each engine alone",
    r"\.Config\.(AttachStdout|AttachStderr|Hostname)": "of the container that was committed, not of the image",
}
STEPS: Final = {r"\.ContainerConfig\..*": "no container makes Havre's steps that change the config alone"}


@pytest.mark.parametrize("name", MADE)
def test_inspect(pair: tuple[Daemon, Daemon], name: str) -> None:
    ours, theirs = (flat(inspected(daemon, name)) for daemon in pair)
    assert differences(ours, theirs, INSPECT | (STEPS if name == "built:1" else {})) == {}


def inspected(daemon: Daemon, name: str) -> Any:
    path = f"http://engine/v1.41/images/{name}/json"
    found = json.loads(daemon.namespace.run("curl", "-s", "--unix-socket", str(daemon.socket), path).stdout)
    # When each has given it a name is its own; whether it has is not.
    found["Metadata"]["LastTagTime"] = found["Metadata"]["LastTagTime"] > "0002"
    return found


OWN_WORDS: Final = (
    *("save -o x.tar busybox", "save -o x.tar 000", "import http:", "search 127"),
    # Havre says "No such image"; "cannot reach" where dockerd tells of each of its attempts.
)


@pytest.mark.parametrize("what", TABLE)
def test_the_same_is_said(pair: tuple[Daemon, Daemon], what: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(lambda daemon: Transcript(daemon).run(TABLE[what]), pair)
    for daemon in pair:
        daemon.remove_everything()
    assert [both for both in zip(ours, theirs, strict=True) if not agree(*both)] == []


def agree(ours: Told, theirs: Told) -> bool:
    """Messages of Havre's may go on where dockerd's end."""
    if ours.code != theirs.code or ours.command.startswith(OWN_WORDS):
        return ours.code == theirs.code
    words = theirs.errors.removeprefix("Error response from daemon: ").strip().lower()
    return ours.lines == theirs.lines and words in ours.errors.lower() and bool(words) == bool(ours.errors)
