"""Whatever a body of `POST /containers/create` holds: a container that can be kept, or an error that says where.

The bodies are a whole one, with a value for every field that there is, in which something is put in another's place.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final, TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.api import create, create_config, create_host
from engine.api.fields import Fields, decode
from engine.api.query import Query
from engine.api.status import status_of
from engine.containers.creation import Draft, draft
from engine.containers.model import Container
from engine.containers.records import Record, _document, _record
from engine.errors import ContainerNotFound, EngineError, InvalidParameter
from engine.images.model import Image, ImageConfig
from engine.types import Digest, Platform
from tests.fixtures.whole_bodies import CONFIG, HOST, WHOLE

EXAMPLES: Final = int(os.environ.get("HAVRE_TEST_EXAMPLES", "150"))
"""Of each property."""

Path = tuple[str | int, ...]


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The place of everything in *value*."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths(entry, (*path, key))


PATHS: Final = tuple(_paths(WHOLE))


def _at(path: Path) -> Any:
    value: Any = WHOLE
    for key in path:
        value = value[key]
    return value


def _with(path: Path, replacement: Any) -> dict[str, Any]:
    body = copy.deepcopy(WHOLE)
    place: Any = body
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = replacement
    return body


def _name(path: Path) -> str:
    """A path as messages write it."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")


IMAGE: Final = Image(
    id=Digest.of(b""),
    created=None,
    size=0,
    platform=Platform(os="linux", architecture="amd64"),
    config=ImageConfig(cmd=("sh",), env=("PATH=/bin",)),
    diff_ids=(),
)


def _find(text: str) -> Container:
    raise ContainerNotFound(text)


def made(body: Any) -> Draft:
    """The container that *body* asks for, as far as one comes without making anything."""
    request = create.parse(Fields(decode(json.dumps(body).encode())))
    return draft(
        container_id="c" * 64,
        name="web",
        image=IMAGE,
        config=request.config,
        host=request.host,
        raw_config=request.raw_config,
        raw_host_config=request.raw_host_config,
        held=frozenset({"CAP_NET_ADMIN"}),
        log_path="/log",
        find=_find,
    )


def test_every_field_is_here() -> None:
    """A field that is added to the engine's tables is added to this whole body."""
    assert CONFIG.keys() == {*create_config.DEFAULTS, *create_config.OPTIONAL}
    assert HOST.keys() == {*create_host.DEFAULTS, *create_host.OPTIONAL}
    container = made(WHOLE).container
    assert container.config.hostname == "web"


MAPS: Final = {
    *("Labels", "ExposedPorts", "Volumes", "Annotations", "Config", "Options", "PortBindings", "StorageOpt", "Sysctls"),
    *("Tmpfs", "EndpointsConfig"),
}
"""Objects whose names are the client's own."""


@pytest.mark.parametrize(
    "path", [(), *(path for path in PATHS if isinstance(_at(path), dict) and path[-1] not in MAPS)], ids=_name
)
def test_nothing_is_passed_over_in_silence(path: Path) -> None:
    """What no code asks for is told, however deep it stands; of the whole body that is nothing."""
    assert create.parse(Fields(WHOLE)).warnings == ()
    request = create.parse(Fields(_with((*path, "NoSuch"), "x")))
    assert request.warnings == (f"{_name((*path, 'NoSuch'))} is not known to this engine and has been ignored",)


def _named(error: EngineError, path: Path) -> bool:
    """Whether the message says which field was meant: by the name next to it, of an entry by its list's."""
    return next(key for key in reversed(path) if isinstance(key, str)) in str(error)


def _kind(value: Any) -> str:
    return {bool: "flag", int: "number", float: "number", str: "text", list: "list", dict: "object"}[type(value)]


ONE_WORD: Final = {"Cmd", "Entrypoint", "Shell", "CapAdd", "CapDrop"}
"""Lists for which a word may stand by itself."""


@pytest.mark.parametrize("path", PATHS, ids=_name)
def test_a_value_of_another_type_is_refused_by_the_name_of_its_field(path: Path) -> None:
    for value in (True, 7, 1.5, "word", [7], {"word": 7}):
        if (_kind(value) == _kind(_at(path)) and value != 1.5) or (value == "word" and path[-1] in ONE_WORD):
            continue
        with pytest.raises(InvalidParameter, match="expected") as caught:
            made(_with(path, value))
        assert _named(caught.value, path), value


@pytest.mark.parametrize("path", [path for path in PATHS if isinstance(_at(path), str)], ids=_name)
def test_no_text_holds_a_nul(path: Path) -> None:
    with pytest.raises(InvalidParameter, match="must not contain a NUL character") as caught:
        made(_with(path, f"{_at(path)}\0x"))
    assert _named(caught.value, path)


@pytest.mark.parametrize("path", [path for path in PATHS if type(_at(path)) is int], ids=_name)
def test_no_number_has_more_than_64_bits(path: Path) -> None:
    for number in (1 << 63, -(1 << 63) - 1, 10**300):
        with pytest.raises(InvalidParameter, match="expected") as caught:
            made(_with(path, number))
        assert _named(caught.value, path)


T = TypeVar("T")


def _tried(call: Callable[..., T], *arguments: Any) -> tuple[T, None] | tuple[None, EngineError]:
    """What *call* gives, or the error that the API would answer with; any other error is a defect."""
    try:
        return call(*arguments), None
    except EngineError as error:
        return None, error


HOSTILE: Final = st.sampled_from(
    [
        *("", ".", "..", "../..", "/../../etc", "/", "//", "/a/../b", "~", "-1", "0", "a" * 5000, "\0", "\n", "a\nb"),
        *(" ", ":", "::", "a:b:c:d", ",", "=", "%", "%s", "{}", "\ud800", "\uffff", "é", "container:", "container:x"),
        *("host", "none", "private", "0x10", "1e9", "99999999999999999999", "1-2-3", "65536/tcp", "5-1/udp"),
        *(-1, 0, 1, -(1 << 63), (1 << 63) - 1, 1 << 64, 1.5, 1e308, True, False, None, [], {}, [[]], [{}], [None]),
        *({"": ""}, {"a": None}, {"\0": "x"}, {"..": {}}, ["\0"], ["a"] * 500, {str(n): {} for n in range(500)}),
    ]
)
ANYTHING: Final = HOSTILE | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def _meant(error: EngineError, path: Path) -> bool:
    """Whether the message names the field, or the object around it, of which is told what does not go together."""
    if "logging plugin" in str(error):  # clients compare the whole message, so it has dockerd's words alone
        return "LogConfig" in path
    names = [key for key in path if isinstance(key, str)]
    return any(
        name in str(error) for name in names[-2:] if len(names) == 1 or name not in ("HostConfig", "NetworkingConfig")
    )


WRONG: Final = (
    *("", "..", "//", "-1", "a" * 5000, "a\nb", "a:b:c:d", "x:/y:z", "/../../etc", "container:", "container:x", "host"),
    *(
        "none",
        "9" * 20,
        "65536/tcp",
        -1,
        1,
        -(1 << 63),
        (1 << 63) - 1,
        True,
        None,
        [""],
        ["x"],
        ["x=y"],
        ["NONE"],
        [{}],
    ),
    *({}, {"": ""}, {"..": {}}, {"x": "y"}, [{"HostPort": "99999"}]),
)


@pytest.mark.parametrize("path", PATHS, ids=_name)
def test_whatever_is_wrong_with_a_field_is_told_by_its_name(path: Path) -> None:
    for value in WRONG:
        _, error = _tried(made, _with(path, value))
        assert error is None or _meant(error, path), (value, str(error))


@settings(max_examples=EXAMPLES, deadline=None)
@given(path=st.sampled_from(PATHS), value=ANYTHING)
def test_whatever_stands_in_one_field_is_told_by_its_name(path: Path, value: Any) -> None:
    _, error = _tried(made, _with(path, value))
    assert error is None or _meant(error, path), str(error)


@settings(max_examples=EXAMPLES, deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(PATHS), ANYTHING), min_size=1, max_size=3))
def test_any_value_anywhere(changes: list[tuple[Path, Any]]) -> None:
    body: Any = copy.deepcopy(WHOLE)
    for path, value in changes:
        place = body
        with suppress(KeyError, IndexError, TypeError):  # an earlier change may have taken the place away
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
    drafted, error = _tried(made, body)
    if error is not None:
        assert status_of(error) in (400, 404, 501)
        assert 0 < len(str(error).encode()) < 2000  # an answer, and a line of the log
        return
    record = Record(container=drafted.container)
    document = _document(record)
    document.encode()
    assert json.loads(document, parse_constant=pytest.fail)
    assert _record({"document": document}) == record  # type: ignore[arg-type]
    echo = {**drafted.container.raw_config, **drafted.container.raw_host_config}
    assert echo.keys() <= {*CONFIG, *HOST}


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.binary(max_size=200) | ANYTHING.map(lambda value: json.dumps(value).encode()))
@example(b'{"a":' * 2000)
@example(b"[" * 63 + b"]" * 63)
@example(b'{"a":' + b"9" * 5000 + b"}")
@example(b'{"a":1e999}')
@example(b'{"a":"\\ud800"}')
@example(b'{"\\udfff":1}')
@example(b"{}\0")
@example(b"\xef\xbb\xbf{}")
def test_any_bytes_are_a_document_or_an_error(data: bytes) -> None:
    document, error = _tried(decode, data)
    if error is not None:
        assert re.match("invalid JSON: |unexpected content after JSON", str(error))
    else:
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=st.text(max_size=40) | HOSTILE.map(str) | st.text("-+0123456789.eE:TZ", max_size=30))
@example("9" * 5000)
@example("٣")
@example("0001-01-01T00:00:00+14:00")
@example("9999-12-31T23:59:59-14:00")
@example("2026-02-30T00:00:00Z")
def test_any_text_in_a_url(text: str) -> None:
    query = Query({"since": text, "limit": text, "filters": text, "all": text})
    for name, read in (("since", query.instant), ("limit", query.integer), ("filters", lambda _: query.filters())):
        _, error = _tried(read, name)
        assert error is None or (isinstance(error, InvalidParameter) and name in str(error))
