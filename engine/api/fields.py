"""Typed reading of a JSON body: every wrong type is an error that names the field.

Names are matched as Go's decoder matches them, without regard to case, and `null` is the same as absent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from engine.errors import InvalidParameter

_INT64: Final = 1 << 63


class Fields:
    """One JSON object; *path* is where it stands in the body, for messages."""

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, dict):
            raise InvalidParameter(f"{path or 'request body'}: expected an object, got {_shown(value)}")
        self.path = path
        self.names = tuple(value)
        self.document: Mapping[str, Any] = value
        """As it came."""
        self._values: dict[str, Any] = {key.lower(): entry for key, entry in value.items()}

    def get(self, name: str) -> Any:
        """The raw value, `None` where there is none."""
        return self._values.get(name.lower())

    def text(self, name: str, default: str = "") -> str:
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.wrong(name, "a string", value)
        if "\0" in value:
            raise InvalidParameter(f"{self._at(name)}: must not contain a NUL character")
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

    def optional_texts(self, name: str) -> tuple[str, ...] | None:
        """A list of strings; a single string is a list of one, as for `Cmd` and `Entrypoint` in Docker."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            raise self.wrong(name, "a list of strings", value)
        for number, entry in enumerate(value):
            if not isinstance(entry, str):
                raise self.wrong(f"{name}[{number}]", "a string", entry)
            if "\0" in entry:
                raise InvalidParameter(f"{self._at(name)}[{number}]: must not contain a NUL character")
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
        return dict(value)

    def keys(self, name: str) -> tuple[str, ...]:
        """The keys of a set, which JSON writes as an object of empty objects."""
        value = self.get(name)
        if value is None:
            return ()
        if not isinstance(value, dict):
            raise self.wrong(name, "an object", value)
        return tuple(value)

    def section(self, name: str) -> Fields:
        """The object *name*; an empty one where there is none."""
        value = self.get(name)
        return Fields({} if value is None else value, self._at(name))

    def objects(self, name: str) -> tuple[Fields, ...]:
        value = self.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self.wrong(name, "a list of objects", value)
        return tuple(Fields(entry, f"{self._at(name)}[{number}]") for number, entry in enumerate(value))

    def wrong(self, name: str, expected: str, value: object) -> InvalidParameter:
        return InvalidParameter(f"{self._at(name)}: expected {expected}, got {_shown(value)}")

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def decode(data: bytes) -> Any:
    """The JSON document in a body; `InvalidParameter` in the words of Docker's decoder."""
    try:
        return json.loads(data, parse_constant=_constant)
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


def canonical(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """*values* over *defaults*, under the names that *defaults* has, whatever case the client wrote."""
    names = {name.lower(): name for name in defaults}
    return dict(defaults) | {
        names.get(name.lower(), name): value for name, value in values.items() if value is not None
    }


def _constant(text: str) -> float:
    raise InvalidParameter(f"invalid JSON: invalid character {text[0]!r} looking for beginning of value")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
