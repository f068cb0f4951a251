"""Builds: a context sent, and what becomes of it step by step.

Havre tells it in structured lines (`POST /havre/v1/build`); of another endpoint the words of its classic builder are
read, which tell less: no graph, no reason why a step was not in the cache.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Protocol, Self

from engine.client import errors, parse
from engine.client.connection import Connection, Filters, filters_text
from engine.client.images import Upload, auth_values, chunks_of
from engine.client.model import Auth, PublicOnly, PullEvent
from engine.client.pull import Rows, raise_failure

_TAR: Final[dict[str, str]] = {"Content-Type": "application/x-tar"}
_STEP: Final = re.compile(r"Step (\d+)/(\d+) : (.*)", re.DOTALL)
_IMAGE: Final = re.compile(r" ---> ([0-9a-f]{12})?\n")
_RED: Final = re.compile("\x1b\\[91m(.*)\x1b\\[0m", re.DOTALL)


class BuildEventKind(StrEnum):
    """What a line tells; engine/build/README.md has what it means."""

    PLAN = "plan"
    START = "start"
    PULL = "pull"
    HIT = "hit"
    MISS = "miss"
    RUN = "run"
    LOG = "log"
    NOTE = "note"
    END_RUN = "end-run"
    DONE = "done"
    FAIL = "fail"
    WARNING = "warning"
    BUILT = "built"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStep:
    """A step of the plan, and the steps (numbers) that come before it."""

    number: int
    stage: int
    stage_name: str
    instruction: str
    text: str
    line: int
    end_line: int
    needs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildEvent:
    """One line. Fields that its kind does not have are empty."""

    kind: BuildEventKind
    time: str = ""
    """RFC 3339."""
    step: int = 0
    text: str = ""
    """Output, a note, the reason of a miss, an error's or a warning's sentence."""
    stream: str = ""
    changed: tuple[str, ...] = ()
    container: str = ""
    image: str = ""
    size: int = 0
    ends_stage: bool = False
    exit_code: int = 0
    names: tuple[str, ...] = ()
    steps: tuple[BuildStep, ...] = ()
    pull: PullEvent | None = None
    rule: str = ""
    line: int = 0
    detail: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What to build, the context apart; see `engine.build.options` for what each means."""

    tags: tuple[str, ...] = ()
    dockerfile: str = ""
    arguments: Mapping[str, str] | None = None
    labels: Mapping[str, str] | None = None
    target: str = ""
    no_cache: bool = False
    cache_from: tuple[str, ...] = ()
    pull: bool = False
    platform: str = ""
    network: str = ""
    extra_hosts: tuple[str, ...] = ()
    memory: int = 0
    """Bytes."""
    shm_size: int = 0
    remote: str = ""
    """The address of a context, of a git repository or of a Dockerfile, instead of one that is sent."""
    build_id: str = ""
    """A name by which `cancel_build` knows it."""
    auths: tuple[Auth, ...] = ()
    """Credentials for base images, each with the address of its registry."""
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """For `RUN --mount=type=secret`, by id. Havre's engine alone takes them."""
    reach: PublicOnly | None = None
    """Where the engine may fetch from; `None` is anywhere."""
    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """SSH keys for `RUN --mount=type=ssh`, by id. Havre's engine alone takes them."""

    def parameters(self) -> dict[str, Any]:
        """The query of `POST /build`."""
        given: dict[str, Any] = {
            "t": list(self.tags),
            "dockerfile": self.dockerfile,
            "buildargs": json.dumps(dict(self.arguments)) if self.arguments else "",
            "labels": json.dumps(dict(self.labels)) if self.labels else "",
            "target": self.target,
            "nocache": "1" if self.no_cache else "",
            "cachefrom": json.dumps(list(self.cache_from)) if self.cache_from else "",
            "pull": "1" if self.pull else "",
            "platform": self.platform,
            "networkmode": self.network,
            "extrahosts": list(self.extra_hosts),
            "memory": self.memory or "",
            "shmsize": self.shm_size or "",
            "remote": self.remote,
            "buildid": self.build_id,
            "rm": "1",
            "forcerm": "1",
        }
        return {name: value for name, value in given.items() if value not in ("", [])}

    def own_parameters(self) -> dict[str, Any]:
        """What `POST /havre/v1/build` takes besides."""
        return self.reach.parameters() if self.reach else {}

    def headers(self) -> dict[str, str]:
        """Those that hold secrets."""
        headers = {}
        if self.auths:
            known = {auth.server_address: auth_values(auth) for auth in self.auths}
            headers["X-Registry-Config"] = base64.urlsafe_b64encode(json.dumps(known).encode()).decode("ascii")
        for header, values in (("X-Havre-Secrets", self.secrets), ("X-Havre-SSH", self.keys)):
            if values:
                pairs = (f"{name}={base64.b64encode(value).decode('ascii')}" for name, value in values.items())
                headers[header] = ",".join(pairs)
        return headers


class Build:
    """An iterator of `BuildEvent`; a context manager that ends the build when the block ends.

    A build that fails ends with an event of the kind `ERROR`. `close()` may be called by any thread: the endpoint stops
    building, and the iteration just ends.
    """

    def __init__(self, rows: Rows, reader: Reader) -> None:
        self._rows = rows
        self._reader = reader
        self._waiting: deque[BuildEvent] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> BuildEvent:
        while not self._waiting:
            self._waiting += self._reader.read(self._rows.row())
        return self._waiting.popleft()

    def close(self) -> None:
        """Stop the build, if it still runs. It may be called again."""
        self._rows.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.__exit__(None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """Something that builds have left to be used again."""

    id: str
    kind: str
    description: str
    size: int
    created: str
    used: str
    uses: int
    in_use: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedBuilds:
    removed: tuple[str, ...]
    reclaimed: int


class BuildCalls(Connection):
    def build(self, request: BuildRequest, *, context: Upload | None = None) -> Build:
        """Begin to build *context*, a tar archive, compressed or not; `None` where the request names a remote one.

        `InvalidRequest` for a context or a Dockerfile that means nothing, `NotSupported` for secrets of another engine
        than Havre's, which has no way for them; later errors are events.
        """
        structured = self._is_havre()
        if (request.secrets or request.keys) and not structured:
            raise errors.NotSupported(
                "this engine takes no secrets by its API: build with docker buildx build --secret and --ssh"
            )
        response = self._request(
            "POST",
            "/havre/v1/build" if structured else "/build",
            parameters=request.parameters() | (request.own_parameters() if structured else {}),
            headers=_TAR | request.headers(),
            data=b"" if context is None else chunks_of(context),
            patient=True,
            stream=True,
        )
        return Build(Rows(response, endpoint=self.base_url), StructuredReader() if structured else ClassicReader())

    def cancel_build(self, build_id: str) -> None:
        """Stop the build that was begun with that id. `NotFound` when it does not run."""
        self._request("POST", "/build/cancel", parameters={"id": build_id})

    def build_cache(self) -> list[CacheEntry]:
        """What builds have left, the last used first."""
        answer = self._json("GET", "/system/df", parameters={"type": "build-cache"}, patient=True)
        return [
            CacheEntry(
                id=row.get("ID", ""),
                kind=row.get("Type", ""),
                description=row.get("Description", ""),
                size=row.get("Size") or 0,
                created=row.get("CreatedAt") or "",
                used=row.get("LastUsedAt") or "",
                uses=row.get("UsageCount") or 0,
                in_use=bool(row.get("InUse")),
            )
            for row in answer.get("BuildCache") or ()
        ]

    def prune_builds(self, *, all: bool = False, filters: Filters | None = None) -> PrunedBuilds:  # noqa: A002
        """Remove what builds have left and no image needs; with *all*, what images need as well."""
        parameters = {"all": "1"} if all else {}
        answer = self._json("POST", "/build/prune", parameters=parameters | filters_text(filters or {}), patient=True)
        removed = tuple(answer.get("CachesDeleted") or ())
        return PrunedBuilds(removed=removed, reclaimed=answer.get("SpaceReclaimed") or 0)


class Reader(Protocol):
    """Makes events of an endpoint's lines."""

    def read(self, row: Mapping[str, Any]) -> Sequence[BuildEvent]: ...


class StructuredReader:
    """Reads Havre's own lines."""

    def read(self, row: Mapping[str, Any]) -> Sequence[BuildEvent]:
        if "Type" not in row:
            raise_failure(row, lambda: None)
        try:
            kind = BuildEventKind(row.get("Type", ""))
        except ValueError:
            return ()  # of a newer engine
        progress = row.get("Progress")
        return [
            BuildEvent(
                kind=kind,
                time=row.get("Time", ""),
                step=row.get("Step") or 0,
                text=row.get("Text") or row.get("Reason") or row.get("Message") or "",
                stream=row.get("Stream", ""),
                changed=tuple(row.get("Changed") or ()),
                container=row.get("Container", ""),
                image=row.get("Image") or "",
                size=row.get("Size") or 0,
                ends_stage=bool(row.get("EndsStage")),
                exit_code=row.get("ExitCode") or 0,
                names=tuple(row.get("Names") or ()),
                steps=tuple(map(_step, row.get("Steps") or ())),
                pull=parse.pull_event(progress) if progress else None,
                rule=row.get("Rule", ""),
                line=row.get("Line") or 0,
                detail=row.get("Detail", ""),
                url=row.get("Url", ""),
            )
        ]


class ClassicReader:
    """Reads the words of Docker's classic builder, which tells one step after the other."""

    def __init__(self) -> None:
        self._step = 0
        self._image = ""

    def read(self, row: Mapping[str, Any]) -> Sequence[BuildEvent]:
        now = dt.datetime.now(dt.UTC).isoformat()
        if row.get("errorDetail") or row.get("error"):
            detail = row.get("errorDetail") or {}
            text = str(row.get("error") or detail.get("message", ""))
            code = detail.get("code") or 0
            failed = BuildEvent(kind=BuildEventKind.FAIL, time=now, step=self._step, text=text, exit_code=code)
            return [failed, replace(failed, kind=BuildEventKind.ERROR, step=0)]
        if "status" in row:
            return [BuildEvent(kind=BuildEventKind.PULL, time=now, step=self._step, pull=parse.pull_event(row))]
        if isinstance(row.get("aux"), dict):
            self._image = str(row["aux"].get("ID", "")) or self._image
            return ()
        return list(self._words(str(row.get("stream", "")), now))

    def _words(self, text: str, now: str) -> Iterator[BuildEvent]:
        if match := _STEP.fullmatch(text):
            self._step = int(match[1])
            yield BuildEvent(kind=BuildEventKind.START, time=now, step=self._step, text=match[3])
        elif text == " ---> Using cache\n":
            yield BuildEvent(kind=BuildEventKind.HIT, time=now, step=self._step)
        elif match := _IMAGE.fullmatch(text):
            yield BuildEvent(kind=BuildEventKind.DONE, time=now, step=self._step, image=match[1] or "")
        elif text.startswith(" ---> Running in "):
            container = text.removeprefix(" ---> Running in ").strip()
            yield BuildEvent(kind=BuildEventKind.RUN, time=now, step=self._step, container=container)
        elif text.startswith("Removing intermediate container "):
            yield BuildEvent(kind=BuildEventKind.END_RUN, time=now, step=self._step, container=text.split()[-1])
        elif text.startswith("[Warning]"):
            yield BuildEvent(kind=BuildEventKind.WARNING, time=now, text=text.strip())
        elif text.startswith("Successfully built "):
            yield BuildEvent(kind=BuildEventKind.BUILT, time=now, image=self._image or text.split()[-1])
        elif text.startswith("Successfully tagged "):
            yield BuildEvent(kind=BuildEventKind.NOTE, time=now, text=text.strip())
        elif text != "\n":
            match = _RED.fullmatch(text)
            stream = "stderr" if match else "stdout"
            words = match[1] if match else text
            yield BuildEvent(kind=BuildEventKind.LOG, time=now, step=self._step, stream=stream, text=words)


def _step(row: Mapping[str, Any]) -> BuildStep:
    return BuildStep(
        number=row.get("Step") or 0,
        stage=row.get("Stage", 0),
        stage_name=row.get("StageName", ""),
        instruction=row.get("Instruction", ""),
        text=row.get("Text", ""),
        line=row.get("Line") or 0,
        end_line=row.get("EndLine") or 0,
        needs=tuple(row.get("Needs") or ()),
    )
