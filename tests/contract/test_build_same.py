"""Small contexts built by dockerd's classic builder and by Havre: the same files, owners, modes, config and history."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures.built import File, build, comparable, write_context
from tests.fixtures.daemons import Daemon, HavreDaemon, PeerDaemon

Files = Mapping[str, str | bytes | File]


@dataclass(frozen=True)
class Case:
    """One context and how it is built."""

    name: str
    dockerfile: bytes
    files: Files
    arguments: tuple[str, ...]
    differs: Mapping[str, str]
    """What is different on purpose (`config`, `history`, `layers`, `author`), and the reason."""
    quick: bool
    """Whether it is built in every run of the tests."""


def case(
    name: str,
    *lines: str,
    raw: bytes = b"",
    files: Files | None = None,
    arguments: tuple[str, ...] = (),
    differs: Mapping[str, str] | None = None,
    quick: bool = False,
) -> Case:
    """A Dockerfile of these lines, or as it is in *raw*."""
    dockerfile = raw or "".join(f"{line}\n" for line in lines).encode()
    return Case(name, dockerfile, files or {}, arguments, differs or {}, quick)


def archive(kind: str = "w") -> bytes:
    """A tar with a bit of everything."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=kind) as tar:  # type: ignore[call-overload]
        entries = (("d/", 0o750, 7, ""), ("d/f", 0o640, 8, "in the archive\n"), ("s", 0o4755, 0, "x"))
        for name, mode, owner, content in entries:
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.mode, member.uid, member.gid, member.size = mode, owner, owner, len(content)
            member.mtime = 981_173_106
            tar.addfile(member, io.BytesIO(content.encode()))
        link = tarfile.TarInfo("l")
        link.type, link.linkname, link.mtime = tarfile.SYMTYPE, "d/f", 981_173_106
        tar.addfile(link)
        hard = tarfile.TarInfo("h")
        hard.type, hard.linkname, hard.mtime, hard.mode = tarfile.LNKTYPE, "d/f", 981_173_106, 0o640
        hard.uid = hard.gid = 8
        tar.addfile(hard)
    return out.getvalue()


TREE: Files = {
    "f": "file\n",
    "x.txt": "x\n",
    "y.txt": File("y\n", mode=0o600),
    "d/": File(mode=0o711),
    "d/a": File("a\n", mode=0o755),
    "d/sub/": File(mode=0o2770),
    "d/sub/b": "b\n",
    "d/link": File(link="a"),
    "e/": File(mode=0o1777),
    "to-file": File(link="f"),
    "to-dir": File(link="d"),
    "with space": "space\n",
    "ünïcode": "u\n",
}

ENVIRONMENT = [
    case("env-forms", "FROM busybox", "ENV A=b C=\"d e\" F='g h' I=j\\ k L=", quick=True),
    case("env-old-form", "FROM busybox", 'ENV A b  c "d"', "ENV E 'f g'"),
    case("env-replaced", "FROM busybox", "ENV A=1 B=2", "ENV A=3", "ENV C=$A$B ${A}D=4"),
    case("env-of-one-line-sees-what-was-before", "FROM busybox", "ENV A=1", "ENV A=2 B=$A C=${A}"),
    case("env-modifiers", "FROM busybox", "ENV A= F=f", "ENV B=${A:-x} C=${A:+y} D=${N:-$F} E=${F:+w}"),
    case("env-escapes", "FROM busybox", 'ENV A=\\$B C="\\$D \\"q\\"" E=\'$F\' G=a\\\\b H=\\a'),
    case("env-equals-signs", "FROM busybox", "ENV A=b=c D=="),
    case("env-letters", "FROM busybox", "ENV É=è A=日本"),
    case("env-of-the-base", "FROM busybox", "ENV PATH=/mine:$PATH HOME=/h"),
    case("label-forms", "FROM busybox", 'LABEL a=b "c d"="e f" g=\\', '"h i"', "LABEL a=j", "LABEL old form of it"),
    case("label-json", "FROM busybox", 'LABEL a="{\\"b\\": [1]}" c=\'{"d": 2}\''),
    case("label-variables", "FROM busybox", "ENV V=v", "LABEL a=$V b='$V' c=\"x${V}y\" $V=d"),
    case(
        "label-option",
        "FROM busybox",
        "LABEL a=b",
        arguments=("--label", "a=c", "--label", "d=it's $E"),
        differs={"history": "dockerd makes a step of each label, Havre one of all"},
    ),
    case("arg-default", "FROM busybox", "ARG A=1", "ENV B=$A"),
    case(
        "arg-given",
        "FROM busybox",
        "ARG A=1",
        "ARG C",
        "ENV B=$A D=$C",
        arguments=("--build-arg", "A=2", "--build-arg", "C=3"),
    ),
    case("arg-unset", "FROM busybox", "ARG A", "ENV B=x$A"),
    case("arg-from-above", "ARG A=1", "ARG B=$A-2", "FROM busybox", "ENV C=$A", "ARG B", "ENV D=$B"),
    case("arg-in-from", "ARG NAME=busybox", "ARG TAG", "FROM ${NAME}:${TAG:-latest}", "ENV A=1"),
    case(
        "arg-several",
        "FROM busybox",
        "ARG A=1 B C=$A",
        "ENV D=$A$B$C",
        arguments=("--build-arg", "B=2"),
        differs=dict.fromkeys(
            ("config", "history"), "as in BuildKit, an argument sees those before it in its instruction"
        ),
    ),
    case("arg-below-env", "FROM busybox", "ENV A=env", "ARG A=arg", "RUN echo $A > /a"),
    case(
        "arg-above-env",
        "FROM busybox",
        "ARG A=arg",
        "ENV A=env",
        "RUN echo $A > /a",
        arguments=("--build-arg", "A=given"),
    ),
    case(
        "arg-seen-by-run",
        "FROM busybox",
        "ARG A=1",
        "ARG B",
        "RUN echo $A$B > /a",
        arguments=("--build-arg", "B=2"),
        quick=True,
    ),
    case(
        "arg-proxy",
        "FROM busybox",
        "RUN echo $HTTP_PROXY $no_proxy > /a",
        arguments=("--build-arg", "HTTP_PROXY=http://p", "--build-arg", "no_proxy=n"),
        differs={"history": "dockerd counts the arguments that a step shows even where there are none: |0"},
    ),
    case(
        "arg-proxy-declared",
        "FROM busybox",
        "ARG HTTP_PROXY",
        "RUN echo $HTTP_PROXY > /a",
        arguments=("--build-arg", "HTTP_PROXY=p"),
    ),
]

CONFIG = [
    case("workdir", "FROM scratch", "WORKDIR /a/b", "WORKDIR c", "WORKDIR ../d", quick=True),
    case(
        "workdir-cleaned",
        "FROM scratch",
        "WORKDIR /a//b/../c/",
        differs=dict.fromkeys(("config", "history"), "as in BuildKit, the path is cleaned"),
    ),
    case("workdir-variables", "FROM scratch", "ENV V=v", "WORKDIR /$V/${N:-n}"),
    case("workdir-that-is-there", "FROM busybox", "WORKDIR /tmp", "WORKDIR /etc"),
    case(
        "workdir-of-a-user",
        "FROM busybox",
        "USER 33:33",
        "WORKDIR /w/x",
        "RUN pwd; id > /tmp/id",
        differs={"layers": "dockerd gives it to root; BuildKit to the user, and so does Havre"},
    ),
    case("workdir-of-an-unknown-user", "FROM scratch", "USER me", "WORKDIR /w"),
    case("workdir-with-spaces", "FROM scratch", "WORKDIR /a b/c"),
    case("user", "FROM busybox", "USER me:us"),
    case("user-of-run", "FROM busybox", "RUN chmod 777 /tmp", "USER 1000:1001", "RUN id -u > /tmp/u; id -g > /tmp/g"),
    case(
        "user-by-name",
        "FROM busybox",
        "RUN echo me:x:5:6::/home:/bin/sh > /etc/passwd && chmod 777 /tmp",
        "USER me",
        "RUN id -u > /tmp/u; echo $HOME > /tmp/h",
    ),
    case("expose", "FROM busybox", "EXPOSE 80 443/tcp 53/udp 7/sctp"),
    case("expose-twice", "FROM busybox", "EXPOSE 80", "EXPOSE 80/tcp 81"),
    case("expose-range", "FROM busybox", "EXPOSE 8000-8003/udp"),
    case("expose-variables", "FROM busybox", "ENV P=80 Q='81 82/udp'", "EXPOSE $P ${Q}"),
    case("expose-capitals", "FROM busybox", "EXPOSE 80/TCP"),
    case("expose-mapped", "FROM busybox", "EXPOSE 8080:80"),
    case("cmd-shell", "FROM busybox", "CMD echo \"a\"  'b' && c > d", quick=True),
    case("cmd-exec", "FROM busybox", 'CMD ["a", "b c", "\\"d\\""]'),
    case("cmd-empty", "FROM busybox", "CMD []"),
    case("cmd-that-is-no-json", "FROM busybox", "CMD ['a', 'b']"),
    case("cmd-twice", "FROM busybox", "CMD a", 'CMD ["b"]'),
    case("entrypoint", "FROM busybox", 'ENTRYPOINT ["a"]', 'CMD ["b"]'),
    case("entrypoint-takes-the-bases-command", "FROM busybox", "ENTRYPOINT a b"),
    case("entrypoint-keeps-the-stages-command", "FROM busybox", 'CMD ["b"]', 'ENTRYPOINT ["a"]'),
    case("entrypoint-empty", "FROM busybox", "ENTRYPOINT []"),
    case("shell", "FROM busybox", 'SHELL ["/bin/sh", "-ec"]', "RUN false || echo $0 > /a", "CMD x", "ENTRYPOINT y"),
    case("volume", "FROM busybox", "VOLUME /a /b", 'VOLUME ["/c d", "/e"]', "ENV V=/v", "VOLUME $V"),
    case("volume-written-before", "FROM busybox", "RUN mkdir /v && echo kept > /v/a", "VOLUME /v"),
    case("stopsignal", "FROM busybox", "STOPSIGNAL SIGINT", "ENV S=9", "STOPSIGNAL $S"),
    case("stopsignal-realtime", "FROM busybox", "STOPSIGNAL RTMIN+3"),
    case(
        "healthcheck",
        "FROM busybox",
        "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2s --retries=5 CMD a | b",
        quick=True,
    ),
    case("healthcheck-exec", "FROM busybox", 'HEALTHCHECK CMD ["a", "b"]'),
    case("healthcheck-none", "FROM busybox", "HEALTHCHECK CMD a", "HEALTHCHECK NONE"),
    case("maintainer", "FROM busybox", "MAINTAINER Me <me@example.org>"),
    case("onbuild-kept", "FROM busybox", "ONBUILD RUN echo $HOME", "ONBUILD COPY . /src"),
    case(
        "onbuild-carried-out",
        "FROM busybox AS p",
        "ENV A=1",
        "ONBUILD COPY f /f",
        "ONBUILD RUN echo $A > /a",
        "FROM p",
        "ENV B=2",
        files=TREE,
    ),
]

FILES = [
    case("copy-file", "FROM scratch", "COPY f /f", "COPY f /d/", "COPY f /e/g", files=TREE, quick=True),
    case("copy-modes", "FROM scratch", "COPY y.txt d/a /m/", "COPY e d/sub /n/", files=TREE),
    case(
        "copy-setuid",
        "FROM scratch",
        "COPY suid /m/",
        files={"suid": File("s", mode=0o4755)},
        differs={"layers": "dockerd's chown takes the bit away; BuildKit keeps it, and so does Havre"},
    ),
    case("copy-directory", "FROM scratch", "COPY d /d", "COPY d /e/", "COPY d/ /g/h", files=TREE, quick=True),
    case("copy-everything", "FROM scratch", "COPY . /all/", files=TREE),
    case("copy-everything-to-the-root", "FROM scratch", "COPY . .", files=TREE),
    case("copy-patterns", "FROM scratch", "COPY *.txt /t/", "COPY d/[ab] /u/", "COPY ?.txt /v/", files=TREE),
    case("copy-several", "FROM scratch", "COPY f x.txt d /s/", files=TREE),
    case("copy-relative", "FROM scratch", "WORKDIR /w", "COPY f .", "COPY f g/", "COPY f ./h/i", files=TREE),
    case("copy-variables", "FROM scratch", "ENV S=f D=/t", "COPY $S ${D}/$S", files=TREE),
    case(
        "copy-chown",
        "FROM busybox",
        "RUN echo me:x:5:6::/:/bin/sh > /etc/passwd; echo us:x:7: > /etc/group; echo me:x:6: >> /etc/group",
        "COPY --chown=1 f /a",
        "COPY --chown=2:3 d /b",
        "COPY --chown=me f /c/d/e",
        "COPY --chown=me:us f /g",
        files=TREE,
    ),
    case(
        "copy-chown-where-a-group-has-the-users-name",
        "FROM busybox",
        "RUN echo me:x:5:6::/:/bin/sh > /etc/passwd; echo me:x:8: > /etc/group",
        "COPY --chown=me f /a",
        files=TREE,
        differs={"layers": "dockerd takes that group; BuildKit takes the user's own, and so does Havre"},
    ),
    case("copy-links", "FROM scratch", "COPY to-file /a", "COPY to-dir /b", "COPY d/link /c", files=TREE),
    case(
        "copy-through-a-link",
        "FROM busybox",
        "RUN mkdir /real && ln -s /real /l && ln -s real/x /m",
        "COPY f /l/",
        "COPY d /l",
        "COPY f /l/n",
        files=TREE,
    ),
    case(
        "copy-over-a-file", "FROM busybox", "RUN echo old > /f && chmod 777 /f && chown 5:6 /f", "COPY f /f", files=TREE
    ),
    case(
        "copy-into-a-directory",
        "FROM busybox",
        "RUN mkdir -m 700 /d && chown 7:8 /d && echo old > /d/a",
        "COPY d /d",
        files=TREE,
    ),
    case("copy-empty-directory", "FROM scratch", "COPY e /e", files=TREE),
    case("copy-names", "FROM scratch", 'COPY ["with space", "ünïcode", "/n/"]', files=TREE),
    case("copy-leading-slash", "FROM scratch", "COPY /f /d/a /x/", files=TREE),
    case("copy-of-a-user", "FROM busybox", "USER 9:9", "COPY f /f", "COPY d /d", files=TREE),
    case(
        "copy-from-stage",
        "FROM busybox AS a",
        "RUN mkdir /o && echo 1 > /o/f && chown -R 4:5 /o && chmod 600 /o/f",
        "FROM scratch",
        "COPY --from=a /o /o",
        "COPY --from=0 /o/f /g",
    ),
    case(
        "copy-from-image",
        "FROM scratch",
        "COPY --from=busybox /bin/busybox /b",
        "COPY --from=busybox:latest /etc/passwd /etc/",
    ),
    case("ignored", "FROM scratch", "COPY . /c", files={**TREE, ".dockerignore": "*.txt\nd/sub\n**/link\n"}),
    case("ignored-but", "FROM scratch", "COPY . /c", files={**TREE, ".dockerignore": "# no\n*\n!d\nd/sub\n!x.txt\n"}),
    case(
        "ignored-dockerfile",
        "FROM scratch",
        "COPY . /c",
        files={**TREE, ".dockerignore": "Dockerfile\n.dockerignore\n"},
    ),
    case(
        "another-dockerfile",
        "FROM scratch",
        "ENV WRONG=1",
        files={**TREE, "sub/My.Dockerfile": "FROM scratch\nCOPY f /right\n"},
        arguments=("-f", "{context}/sub/My.Dockerfile"),
    ),
    case("add-file", "FROM scratch", "ADD f x.txt /a/", "ADD d /d", files=TREE),
    case("add-tar", "FROM scratch", "ADD a.tar /t/", files={"a.tar": archive()}, quick=True),
    case("add-tar-gz", "FROM scratch", "ADD a.tgz /t", files={"a.tgz": archive("w:gz")}),
    case("add-tar-bz2", "FROM scratch", "ADD a.tar.bz2 /t/u/", files={"a.tar.bz2": archive("w:bz2")}),
    case("add-tar-xz", "FROM scratch", "ADD a.tar.xz /t/", files={"a.tar.xz": archive("w:xz")}),
    case(
        "add-tar-chown",
        "FROM busybox",
        "ADD --chown=3:4 a.tar /t/",
        files={"a.tar": archive()},
        differs={
            "layers": "dockerd leaves the archive's owners; BuildKit gives all to who is named, and so does Havre"
        },
    ),
    case(
        "add-what-is-no-tar",
        "FROM scratch",
        "ADD a.tar b.tar.gz /t/",
        files={"a.tar": "no archive", "b.tar.gz": b"\x1f\x8bno"},
    ),
    case("copy-tar", "FROM scratch", "COPY a.tar /t/", files={"a.tar": archive()}),
    case(
        "add-tar-over",
        "FROM busybox",
        "RUN mkdir -p /t/d && echo old > /t/s && chmod 700 /t/d",
        "ADD a.tar /t/",
        files={"a.tar": archive()},
    ),
]

RUNS = [
    case(
        "run-makes-and-removes",
        "FROM busybox",
        "RUN mkdir -p /a/b && touch /a/b/c && rm /bin/yes",
        "RUN rm -r /a/b",
        quick=True,
    ),
    case("run-changes-nothing", "FROM busybox", "RUN true", "ENV A=1"),
    case(
        "run-modes",
        "FROM busybox",
        "RUN touch /f && mkdir /d",
        "RUN chmod 4711 /f && chmod 1770 /d",
        "RUN chown 1:2 /f /d",
    ),
    case("run-links", "FROM busybox", "RUN echo 1 > /f && ln /f /h && ln -s f /s && ln -s /none /n && mkfifo /p"),
    case("run-directory-to-file", "FROM busybox", "RUN mkdir -p /x/y && touch /x/y/z", "RUN rm -r /x && echo 1 > /x"),
    case("run-file-to-directory", "FROM busybox", "RUN echo 1 > /x", "RUN rm /x && mkdir /x && touch /x/y"),
    case(
        "run-directory-anew",
        "FROM busybox",
        "RUN mkdir /x && touch /x/a /x/b",
        "RUN rm -r /x && mkdir -m 750 /x && touch /x/c",
    ),
    case("run-exec-form", "FROM busybox", 'RUN ["/bin/sh", "-c", "echo $0 > /a", "zero"]', 'RUN ["touch", "/b c"]'),
    case("run-environment", "FROM busybox", "ENV A=b", "WORKDIR /w", "RUN echo $A $HOME $PWD $PATH > /e"),
    case(
        "run-continued",
        "FROM busybox",
        "RUN echo a \\",
        "# no",
        "  # nor this",
        "  b \\",
        "",
        "  >> /f && \\",
        "  echo c >> /f",
    ),
    case(
        "run-hosts-files",
        "FROM busybox",
        "RUN cat /etc/hosts /etc/resolv.conf /etc/hostname > /dev/null",
        "RUN touch /etc/mine",
    ),
    case(
        "run-times",
        "FROM busybox",
        "RUN touch -d '2001-02-03 04:05:06' /f && mkdir /d && touch -d '2001-02-03 04:05:06' /d",
    ),
    case("run-large", "FROM busybox", "RUN dd if=/dev/zero of=/f bs=1M count=3 2>/dev/null"),
    case(
        "run-many",
        "FROM busybox",
        "RUN for i in $(seq 300); do mkdir -p /m/$((i % 7)); echo $i > /m/$((i % 7))/$i; done",
    ),
]

STAGES = [
    case(
        "stage-upon-stage",
        "FROM busybox AS a",
        "ENV A=1",
        "RUN touch /a",
        "FROM a AS b",
        "ENV B=$A",
        "RUN touch /b",
        "FROM b",
        "CMD c",
        quick=True,
    ),
    case(
        "stage-by-target", "FROM busybox AS a", "ENV A=1", "FROM busybox AS b", "ENV B=1", arguments=("--target", "a")
    ),
    case("stage-not-needed", "FROM busybox AS a", "RUN touch /a", "FROM busybox", "ENV B=1"),
    case(
        "stage-names-in-any-case", "FROM busybox as One", "RUN touch /one", "FROM scratch", "COPY --from=ONE /one /two"
    ),
    case(
        "stages-by-number",
        "FROM busybox",
        "RUN echo 0 > /n",
        "FROM busybox",
        "RUN echo 1 > /n",
        "FROM scratch",
        "COPY --from=1 /n /n1",
        "COPY --from=0 /n /n0",
    ),
]

LANGUAGE = [
    case("small-letters", "from busybox", "env A=b", "copy f /f", files=TREE),
    case("comments", "# a", "", "  # b", "FROM busybox", "# c", "ENV A=b", "#d", "RUN echo # a > /a"),
    case("escape-directive", "# escape=`", "FROM busybox", "ENV A=b `", "  C=d\\e F=`$G"),
    case("crlf", raw=b"FROM busybox\r\nENV A=b \\\r\n  C=d\r\nLABEL e=f\r\n"),
    case("byte-order-mark", raw="\ufeffFROM busybox\nENV A=b\n".encode()),
    case("indented", "  FROM busybox", "\tENV A=b", "   ENV   C=d   "),
    case("no-end-of-line", raw=b"FROM busybox\nENV A=b"),
    case("continued-word", "FROM busybox", "ENV A=b\\", "c D=e\\", "  F=g"),
    case("platform-of-from", "FROM --platform=linux/amd64 busybox", "ENV A=b"),
    case("tabs-between", "FROM\tbusybox", "ENV\tA=b\t\tC=d"),
]

CASES = [*ENVIRONMENT, *CONFIG, *FILES, *RUNS, *STAGES, *LANGUAGE]


REFUSED = [
    ("FROM scratch", "no image was generated. is your dockerfile empty?"),
    (
        "FROM busybox\nCOPY nosuch /",
        "copy failed: file not found in build context or excluded by .dockerignore: stat nosuch",
    ),
    ("FROM busybox\nCOPY no*such /", "copy failed: no source files were specified"),
    ("FROM busybox\nCOPY ../f /", "copy failed: forbidden path outside the build context: ../f"),
    (
        "FROM busybox\nCOPY f x.txt /g",
        "when using copy with more than one source file, the destination must be a directory",
    ),
    ("FROM busybox\nCOPY --chown=nosuch f /g", "unable to find user nosuch|no such user: nosuch"),
    ("FROM busybox\nEXPOSE 80, 443", "invalid containerport: 80,"),
    ("FROM busybox\nEXPOSE 80/x", "invalid proto: x"),
    ("FROM busybox\nSTOPSIGNAL NOSUCH", "invalid signal: nosuch"),
    ("FROM busybox\nUSER nosuch\nRUN true", "unable to find user nosuch: no matching entries in passwd file"),
    ("FROM busybox\nWORKDIR", "workdir requires exactly one argument"),
    ("FROM busybox\nHEALTHCHECK CMD", "missing command after healthcheck cmd"),
    ("FROM busybox\nONBUILD ONBUILD RUN x", "chaining onbuild via `onbuild onbuild` isn't allowed"),
    ('FROM busybox\nENV A="${B:?not there}"', "b: not there"),
    ("FROM busybox\nENV A='b", "unexpected end of statement while looking for matching single-quote"),
    ("FROM busybox\nSHELL /bin/sh", "shell requires the arguments to be in json form"),
    ("FROM busybox\nCOPY --nosuch f /", "unknown flag: nosuch|unknown flag: --nosuch"),
    ("FROM $NOSUCH", "base name \\(\\$nosuch\\) should not be blank"),
]
"""What both engines refuse, and words that both say of it, whatever the case of letters."""


@pytest.fixture
def both(havre: HavreDaemon, dockerd: PeerDaemon) -> tuple[HavreDaemon, PeerDaemon]:
    for daemon in (havre, dockerd):
        if daemon.docker("image", "inspect", "busybox", check=False).returncode:
            daemon.docker("pull", "-q", "busybox")
    return havre, dockerd


@pytest.mark.parametrize(
    "case", [pytest.param(each, id=each.name, marks=() if each.quick else pytest.mark.slow) for each in CASES]
)
def test_both_engines_make_the_same(case: Case, both: tuple[HavreDaemon, PeerDaemon], tmp_path: Path) -> None:
    write_context(tmp_path, case.dockerfile, case.files)
    arguments = [argument.replace("{context}", str(tmp_path)) for argument in case.arguments]
    made = []
    for daemon in both:
        build(daemon, tmp_path, "-t", "same", *arguments)
        made.append(comparable(daemon, "same"))
    ours, theirs = made
    for aspect, value in theirs.items():
        if aspect in case.differs:
            assert ours[aspect] != value, f"{aspect} is the same now: {case.differs[aspect]}"
        else:
            assert ours[aspect] == value, aspect


def test_there_are_enough_of_them() -> None:
    assert len({each.name for each in CASES}) == len(CASES) >= 80


@pytest.mark.usefixtures("busybox")
@pytest.mark.parametrize(("dockerfile", "words"), REFUSED)
def test_both_engines_refuse_in_the_same_words(dockerfile: str, words: str, daemon: Daemon, tmp_path: Path) -> None:
    write_context(tmp_path, dockerfile, TREE)
    result = build(daemon, tmp_path, check=False)
    assert result.returncode != 0
    assert re.search(words, result.stderr.lower())
