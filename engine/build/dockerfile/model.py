"""A Dockerfile as values. Words are as they were written: variables in them are expanded by `substitution`.

    Dockerfile
    ├── directives            syntax, escape, check
    ├── arguments             ARG before the first FROM
    └── stages
        ├── base: From
        └── instructions      Run, Copy, Env, …

Lines are counted from 1. What an instruction means is in Docker's reference of Dockerfiles; the words of its flags are
the names of the fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Final

_TABS: Final = re.compile(r"^\t+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Span:
    """Lines of the file, the first and the last included."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document: `<<NAME` in an instruction, and the lines below it."""

    name: str
    content: str
    """Every line with its end. Tabs before a line are still there: `text` is without them."""
    expand: bool = True
    """Whether variables in it are expanded: no part of the name was quoted."""
    chomp: bool = False
    """Whether tabs before each line are taken away: it was written `<<-`."""
    descriptor: int = 0
    """The number before `<<`, for the shell."""

    @property
    def text(self) -> str:
        """The content, without the tabs before its lines where it was written `<<-`."""
        return _TABS.sub("", self.content) if self.chomp else self.content


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What RUN, CMD and ENTRYPOINT execute: the words of the exec form, or one text for a shell."""

    words: tuple[str, ...]
    shell_form: bool
    """`words` is then one text, or nothing."""

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What all instructions have."""

    name: ClassVar[str]
    """In capitals, whatever the file has."""
    span: Span
    keyword: str
    """The instruction's word as it was written."""
    source: str
    """The instruction as one line: continuations joined, comments left out, here-documents not there."""
    comments: tuple[str, ...] = ()
    """The comments directly above, without `#`: descriptions of stages and arguments, and checks to skip."""
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class From(Instruction):
    """The beginning of a stage."""

    name: ClassVar[str] = "FROM"
    image: str
    platform: str = ""
    stage: str = ""
    """The stage's name in small letters, empty where it has none."""
    written_stage: str = ""
    as_keyword: str = ""


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    default: str | None = None
    """`None` where nothing is given, which an empty text is not."""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg(Instruction):
    name: ClassVar[str] = "ARG"
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    key: str
    value: str
    legacy: bool = False
    """Written with a space, `ENV key value`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Env(Instruction):
    name: ClassVar[str] = "ENV"
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Instruction):
    name: ClassVar[str] = "LABEL"
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Instruction):
    """A command that is executed while building. Here-documents in its line are in `heredocs`, in their order."""

    name: ClassVar[str] = "RUN"
    command: CommandLine
    mounts: tuple[str, ...] = ()
    """The values of `--mount`: `mounts.parse_mount` reads them, once their variables are known."""
    network: str = "default"
    """`default`, `none` or `host`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cmd(Instruction):
    name: ClassVar[str] = "CMD"
    command: CommandLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint(Instruction):
    name: ClassVar[str] = "ENTRYPOINT"
    command: CommandLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Instruction):
    name: ClassVar[str] = "SHELL"
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Instruction):
    """What COPY and ADD have in common."""

    sources: tuple[str, ...]
    """Paths in the context (or the stage), patterns, addresses; without the here-documents."""
    contents: tuple[Heredoc, ...] = ()
    """Files whose content stands in the Dockerfile; the name is the here-document's."""
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Transfer):
    name: ClassVar[str] = "COPY"
    from_: str = ""
    """A stage's name or number, an image, or empty for the context."""
    parents: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Transfer):
    name: ClassVar[str] = "ADD"
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None
    """`None`: local archives are unpacked, downloaded ones are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Instruction):
    name: ClassVar[str] = "EXPOSE"
    ports: tuple[str, ...]
    """As they were written; `ports.exposed` reads them, once their variables are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Instruction):
    name: ClassVar[str] = "USER"
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir(Instruction):
    name: ClassVar[str] = "WORKDIR"
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Instruction):
    name: ClassVar[str] = "VOLUME"
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSignal(Instruction):
    name: ClassVar[str] = "STOPSIGNAL"
    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer(Instruction):
    name: ClassVar[str] = "MAINTAINER"
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck(Instruction):
    """Times are nanoseconds; 0 means that the base image's or the engine's holds."""

    name: ClassVar[str] = "HEALTHCHECK"
    test: tuple[str, ...]
    """As in an image's config: `NONE`; `CMD` and words; `CMD-SHELL` and a text."""
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Onbuild(Instruction):
    name: ClassVar[str] = "ONBUILD"
    expression: str
    """What an image's config keeps: the instruction with its here-documents, a Dockerfile of one instruction."""
    trigger: Instruction


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    index: int
    base: From
    instructions: tuple[Instruction, ...]

    @property
    def name(self) -> str:
        """In small letters, empty where it has none."""
        return self.base.stage

    @property
    def title(self) -> str:
        """The name, or `stage-N`."""
        return self.base.stage or f"stage-{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Directives:
    """The comments at the top that tell the parser something."""

    syntax: str = ""
    """Names the image of a frontend in BuildKit. There is one frontend here: it is read and not used."""
    escape: str = "\\"
    check: str = ""
    """Options of the linter, such as `skip=JSONArgsRecommended;error=true`."""
    check_line: int = 0
    count: int = 0
    """How many lines they are, at the top of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    directives: Directives
    arguments: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    empty_continuations: tuple[Span, ...] = ()
    """The lines of instructions that have empty ones among their continued ones, without here-documents."""
    lines: tuple[str, ...] = field(default=(), repr=False)
    """The file's lines without their ends, for whoever shows a place in it."""
