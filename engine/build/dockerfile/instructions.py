"""From an instruction's line to its dataclass: which flags and words each of them takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.build.dockerfile import flags as flag_words
from engine.build.dockerfile import forms, heredocs
from engine.build.dockerfile.errors import Mistake
from engine.build.dockerfile.expansion import expand
from engine.build.dockerfile.flags import Flags, Kind
from engine.build.dockerfile.health import healthcheck
from engine.build.dockerfile.model import (
    Add,
    Arg,
    Argument,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Heredoc,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Span,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from engine.build.dockerfile.mounts import check_mount
from engine.build.dockerfile.ports import exposed
from engine.build.dockerfile.words import GAP, SPACE, did_you_mean, quoted_words

_STAGE: Final = re.compile(r"[a-z][a-z0-9-_.]*")
_ONBUILD: Final = re.compile(r"\s*ONBUILD\s*", re.IGNORECASE)
_NETWORKS: Final = ("default", "none", "host")


_REFUSED: Final = {
    ("RUN", "security"): "RUN --security is not allowed: steps run confined, as containers do",
    ("RUN", "device"): "RUN --device is not allowed: steps see no devices of the host",
}
"""Flags of BuildKit's that are known here and not obeyed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An instruction taken apart."""

    keyword: str
    flags: Flags
    rest: str
    escape: str
    common: Mapping[str, Any]
    """The fields that all instructions have."""

    @property
    def heredocs(self) -> tuple[Heredoc, ...]:
        found: tuple[Heredoc, ...] = self.common["heredocs"]
        return found


def announced(source: str, *, escape: str) -> tuple[Heredoc, ...]:
    """The here-documents, without content, that the instruction *source* is followed by."""
    if "<<" not in source:
        return ()
    keyword, rest = _cut(source)
    while keyword.upper() == "ONBUILD":
        keyword, rest = _cut(flag_words.split(rest, escape=escape)[1])
    if keyword.upper() not in ("ADD", "COPY", "RUN"):
        return ()
    if forms.json_words(flag_words.split(rest, escape=escape)[1]) is not None:
        return ()
    return heredocs.in_line(source)


def parse_instruction(
    source: str, *, span: Span, escape: str, comments: tuple[str, ...] = (), documents: tuple[Heredoc, ...] = ()
) -> Instruction:
    """The instruction that the line *source* is; `Mistake` when it is none, or not a whole one."""
    source = source.strip(SPACE)
    keyword, rest = _cut(source)
    name = keyword.upper()
    if name not in _PARSERS:
        raise Mistake(
            did_you_mean(f"unknown instruction: {keyword[:100]}", keyword[:100], sorted(_PARSERS), ignore_case=True),
            token=keyword[:100],
        )
    words, rest = flag_words.split(rest, escape=escape)
    for word in words:
        if (refusal := _REFUSED.get((name, word.partition("=")[0][2:]))) is not None:
            raise Mistake(refusal, token=word)
    common = {"span": span, "keyword": keyword, "source": source, "comments": comments, "heredocs": documents}
    flags = flag_words.parse(words, _FLAGS.get(name, {}))
    return _PARSERS[name](Line(keyword=keyword, flags=flags, rest=rest.strip(SPACE), escape=escape, common=common))


def _cut(source: str) -> tuple[str, str]:
    keyword, *rest = GAP.split(source.strip(SPACE), maxsplit=1)
    return keyword, rest[0] if rest else ""


def _from(line: Line) -> From:
    words = GAP.split(line.rest)
    if len(words) == 1 and words[0]:
        return From(image=words[0], platform=line.flags.text("platform"), **line.common)
    if len(words) != 3 or words[1].lower() != "as":
        raise Mistake("FROM requires either one or three arguments: FROM image, or FROM image AS name")
    stage = words[2].lower()
    if not _STAGE.fullmatch(stage):
        raise Mistake(
            f'invalid name for build stage: "{words[2][:100]}", name can\'t start with a number or contain symbols',
            token=words[2],
        )
    return From(
        image=words[0],
        platform=line.flags.text("platform"),
        stage=stage,
        written_stage=words[2],
        as_keyword=words[1],
        **line.common,
    )


def _arg(line: Line) -> Arg:
    words = quoted_words(line.rest, escape=line.escape)
    if not words:
        raise _at_least_one(line)
    found: list[Argument] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise Mistake("ARG names can not be blank", token=word)
        description = next(
            (text.removeprefix(f"{name} ") for text in line.common["comments"] if text.startswith(f"{name} ")), ""
        )
        found.append(Argument(name, value if equals else None, description))
    return Arg(arguments=tuple(found), **line.common)


def _env(line: Line) -> Env:
    return Env(pairs=forms.pairs(line.rest, instruction="ENV", escape=line.escape), **line.common)


def _label(line: Line) -> Label:
    return Label(pairs=forms.pairs(line.rest, instruction="LABEL", escape=line.escape), **line.common)


def _run(line: Line) -> Run:
    for mount in line.flags.texts("mount"):
        check_mount(mount)
    network = line.flags.text("network", "default")
    if network not in _NETWORKS:
        raise Mistake(did_you_mean(f'invalid network mode "{network[:60]}"', network, _NETWORKS), token=network)
    return Run(command=forms.command(line.rest), mounts=line.flags.texts("mount"), network=network, **line.common)


def _cmd(line: Line) -> Cmd:
    return Cmd(command=forms.command(line.rest), **line.common)


def _entrypoint(line: Line) -> Entrypoint:
    return Entrypoint(command=forms.command(line.rest), **line.common)


def _shell(line: Line) -> Shell:
    found = forms.command(line.rest)
    if not found.words:
        raise _at_least_one(line)
    if found.shell_form:
        raise Mistake('SHELL requires the arguments to be in JSON form: SHELL ["/bin/sh", "-c"]', token=line.rest[:60])
    return Shell(words=found.words, **line.common)


def _copy(line: Line) -> Copy:
    origin = line.flags.text("from")
    if expand(origin, {}).text != origin:
        raise Mistake(
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope "
            "as a workaround",
            token=origin,
        )
    return Copy(
        from_=origin,
        parents=bool(line.flags.switch("parents")),
        **_transfer(line),
    )


def _add(line: Line) -> Add:
    return Add(
        checksum=line.flags.text("checksum"),
        keep_git_dir=line.flags.switch("keep-git-dir"),
        unpack=line.flags.switch("unpack"),
        **_transfer(line),
    )


def _transfer(line: Line) -> dict[str, Any]:
    name = line.keyword.upper()
    words = forms.words(line.rest)
    if len(words) < 2:
        raise Mistake(
            f"{name} requires at least two arguments, but only one was provided. Destination could not be determined"
        )
    *sources, destination = words
    if heredocs.of_word(destination) is not None:
        raise Mistake(f"{name} cannot accept a heredoc as a destination", token=destination)
    documents = {document.name: document for document in line.heredocs}
    contents: list[Heredoc] = []
    paths: list[str] = []
    for source in sources:
        announcement = heredocs.of_word(source) if "<<" in source else None
        if announcement is not None and announcement.name in documents:
            contents.append(documents[announcement.name])
        else:
            paths.append(source)
    return {
        "sources": tuple(paths),
        "contents": tuple(contents),
        "destination": destination,
        "chown": line.flags.text("chown"),
        "chmod": line.flags.text("chmod"),
        "link": bool(line.flags.switch("link")),
        "exclude": line.flags.texts("exclude"),
        **line.common,
    }


def _expose(line: Line) -> Expose:
    ports = tuple(GAP.split(line.rest)) if line.rest else ()
    if not ports:
        raise _at_least_one(line)
    plain = tuple(port for port in ports if not set(port) & {"$", "'", '"', line.escape})
    exposed(plain)
    return Expose(ports=ports, **line.common)


def _user(line: Line) -> User:
    return User(user=_one(line), **line.common)


def _workdir(line: Line) -> Workdir:
    return Workdir(path=_one(line), **line.common)


def _stopsignal(line: Line) -> StopSignal:
    return StopSignal(signal=_one(line), **line.common)


def _maintainer(line: Line) -> Maintainer:
    return Maintainer(author=_one(line), **line.common)


def _volume(line: Line) -> Volume:
    paths = tuple(path.strip(SPACE) for path in forms.words(line.rest))
    if not paths:
        raise _at_least_one(line)
    if not all(paths):
        raise Mistake("VOLUME specified can not be an empty string")
    return Volume(paths=paths, **line.common)


def _healthcheck(line: Line) -> Healthcheck:
    if not line.rest:
        raise _at_least_one(line)
    return Healthcheck(**healthcheck(line.rest, line.flags), **line.common)


def _onbuild(line: Line) -> Onbuild:
    if not line.rest:
        raise _at_least_one(line)
    trigger = _cut(line.rest)[0].upper()
    if trigger == "ONBUILD":
        raise Mistake("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("FROM", "MAINTAINER"):
        raise Mistake(f"{trigger} isn't allowed as an ONBUILD trigger", token=_cut(line.rest)[0])
    expression = _ONBUILD.sub("", line.common["source"], count=1)
    for document in line.heredocs:
        expression += f"\n{document.content}{document.name}"
    return Onbuild(
        expression=expression,
        trigger=parse_instruction(line.rest, span=line.common["span"], escape=line.escape, documents=line.heredocs),
        **line.common,
    )


def _one(line: Line) -> str:
    if not line.rest:
        raise Mistake(f"{line.keyword.upper()} requires exactly one argument")
    return line.rest


def _at_least_one(line: Line) -> Mistake:
    return Mistake(f"{line.keyword.upper()} requires at least one argument")


_PARSERS: Final[Mapping[str, Callable[[Line], Instruction]]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}

_TRANSFER: Final = {"chown": Kind.TEXT, "chmod": Kind.TEXT, "link": Kind.SWITCH, "exclude": Kind.TEXTS}
_FLAGS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "ADD": _TRANSFER | {"checksum": Kind.TEXT, "keep-git-dir": Kind.SWITCH, "unpack": Kind.SWITCH},
    "COPY": _TRANSFER | {"from": Kind.TEXT, "parents": Kind.SWITCH},
    "FROM": {"platform": Kind.TEXT},
    "HEALTHCHECK": {
        "interval": Kind.TEXT,
        "timeout": Kind.TEXT,
        "start-period": Kind.TEXT,
        "start-interval": Kind.TEXT,
        "retries": Kind.TEXT,
    },
    "RUN": {"mount": Kind.TEXTS, "network": Kind.TEXT},
}
