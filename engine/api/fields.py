"""Typed reading of a JSON body: every wrong type is an error that names the field.

Names are matched as Go's decoder matches them, without regard to case, and `null` is the same as absent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from engine.errors import InvalidParameter
from engine.types import well_formed

_INT64: Final = 1 << 63
_DEEPEST: Final = 64
"""Objects and lists within each other; Docker's own bodies have five."""
_DIGITS: Final = 400
"""Of one number; the largest float has 309 before its point."""


class Fields:
    """One JSON object; *path* is where it stands in the body, for messages."""

    def __init__(self, value: object, path: str = "", *, within: Fields | None = None) -> None:
        if not isinstance(value, dict):
            where = _shortened(path, 200) or "request body"
            raise InvalidParameter(f"{where}: expected an object, got {_shown(value)}")
        self.path = path
        self.names = tuple(value)
        self.document: Mapping[str, Any] = value
        """As it came."""
        self._values: dict[str, Any] = {key.lower(): entry for key, entry in value.items()}
        self._opened: list[Fields] = [] if within is None else within._opened
        self._asked: set[tuple[str, str]] = set() if within is None else within._asked
        self._opened.append(self)

    def get(self, name: str) -> Any:
        """The raw value, `None` where there is none."""
        self._asked.add((self.path, name.lower()))
        return self._values.get(name.lower())

    def unread(self) -> list[str]:
        """The places of what the body says, here or in an object of it, and what nobody has asked for."""
        places = [
            each._at(name)
            for each in self._opened
            for name, value in each.document.items()
            if value and (each.path, name.lower()) not in self._asked
        ]
        return [_shortened(place, 100) for place in dict.fromkeys(places)]

    def text(self, name: str, default: str = "") -> str:
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.wrong(name, "a string", value)
        if "\0" in value:
            raise self._nul(name)
        return value

    def integer(self, name: str, default: int = 0) -> int:
        value = self.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
            raise self.wrong(name, "an integer", value)
        return value

    def optional_integer(self, name: str) -> int | None:
        return None if self.get(name) is None else self.integer(name)

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false", value)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        return self.optional_texts(name) or ()

    def words(self, name: str) -> tuple[str, ...] | None:
        """A list of strings; a single string is a list of one, as for `Cmd` and `Entrypoint` in Docker."""
        value = self.get(name)
        return (self.text(name),) if isinstance(value, str) else self.optional_texts(name)

    def optional_texts(self, name: str) -> tuple[str, ...] | None:
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self.wrong(name, "a list of strings", value)
        for number, entry in enumerate(value):
            if not isinstance(entry, str):
                raise self.wrong(f"{name}[{number}]", "a string", entry)
            if "\0" in entry:
                raise self._nul(f"{name}[{number}]")
        return tuple(value)

    def text_map(self, name: str) -> dict[str, str]:
        value = self.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.wrong(name, "an object of strings", value)
        for key, entry in value.items():
            if not isinstance(entry, str):
                raise self.wrong(f"{name}.{key}", "a string", entry)
            if "\0" in key or "\0" in entry:
                raise self._nul(f"{name}.{key}")
        return dict(value)

    def keys(self, name: str) -> tuple[str, ...]:
        """The keys of a set, which JSON writes as an object of empty objects."""
        value = self.get(name)
        if value is None:
            return ()
        if not isinstance(value, dict):
            raise self.wrong(name, "an object", value)
        for key, entry in value.items():
            if "\0" in key:
                raise self._nul(f"{name}.{key}")
            if entry is not None:
                Fields(entry, f"{self._at(name)}.{key}", within=self)  # an object, and what it says is told as ignored
        return tuple(value)

    def section(self, name: str) -> Fields:
        """The object *name*; an empty one where there is none."""
        value = self.get(name)
        return Fields({} if value is None else value, self._at(name), within=self)

    def objects(self, name: str) -> tuple[Fields, ...]:
        value = self.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self.wrong(name, "a list of objects", value)
        return tuple(Fields(entry, f"{self._at(name)}[{number}]", within=self) for number, entry in enumerate(value))

    def wrong(self, name: str, expected: str, value: object) -> InvalidParameter:
        return self.refused(name, f"expected {expected}, got {_shown(value)}")

    def refused(self, name: str, reason: str) -> InvalidParameter:
        """The error that says why the value of *name* will not do."""
        return InvalidParameter(f"{_shortened(self._at(name), 200)}: {reason}")

    def _nul(self, name: str) -> InvalidParameter:
        return self.refused(name.replace("\0", "\\0"), "must not contain a NUL character")

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def decode(data: bytes) -> Any:
    """The JSON document in a body; `InvalidParameter` in the words of Docker's decoder."""
    try:
        document = json.loads(data, parse_constant=_constant, parse_float=_finite, parse_int=_number)
        _check_depth(document)
        return json.loads(well_formed(json.dumps(document, ensure_ascii=False))) if b"\\u" in data else document
    except json.JSONDecodeError as error:
        rest = error.doc[error.pos : error.pos + 1]
        if not rest:
            raise InvalidParameter("invalid JSON: unexpected EOF") from error
        if error.msg == "Extra data":
            raise InvalidParameter("unexpected content after JSON") from error
        if error.msg == "Expecting value":
            raise InvalidParameter(
                f"invalid JSON: invalid character {rest!r} looking for beginning of value"
            ) from error
        raise InvalidParameter(f"invalid JSON: {error.msg} at byte {error.pos}, near {rest!r}") from error
    except UnicodeDecodeError as error:
        raise InvalidParameter(f"invalid JSON: not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise InvalidParameter("invalid JSON: nested too deeply") from error


def canonical(values: Mapping[str, Any], defaults: Mapping[str, Any], optional: Iterable[str]) -> dict[str, Any]:
    """*values* over *defaults*, under the names that these and *optional* have, whatever case the client wrote.

    What goes by another name is left out.
    """
    names = {name.lower(): name for name in (*defaults, *optional)}
    return dict(defaults) | {
        names[name.lower()]: value for name, value in values.items() if value is not None and name.lower() in names
    }


def _check_depth(document: Any) -> None:
    level, depth = [document], 0
    while level := [
        entry
        for value in level
        if isinstance(value, dict | list)
        for entry in (value.values() if isinstance(value, dict) else value)
    ]:
        depth += 1
        if depth > _DEEPEST:
            raise InvalidParameter(f"invalid JSON: nested too deeply (more than {_DEEPEST} levels)")


def _number(text: str) -> int:
    if len(text) > _DIGITS:
        raise InvalidParameter(f"invalid JSON: a number of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    if len(text) > _DIGITS or math.isinf(number := float(text)):
        raise InvalidParameter(f"invalid JSON: the number {text[:40]} is too large")
    return number


def _constant(text: str) -> float:
    raise InvalidParameter(f"invalid JSON: invalid character {text[0]!r} looking for beginning of value")


def _shown(value: object) -> str:
    return _shortened(json.dumps(value, ensure_ascii=False), 60)


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
