"""Parameters of a URL, in every spelling that Docker's clients use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from engine.api.fields import decode
from engine.errors import InvalidParameter, of_field
from engine.types import parse_instant

_FALSE: Final = frozenset({"", "0", "no", "false", "none"})


class Query:
    """The parameters of one request; each getter raises `InvalidParameter` that names the parameter."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def has(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, default)

    def texts(self, name: str) -> tuple[str, ...]:
        """Every value of a parameter that may come more than once."""
        return tuple(value for key, value in self._values.items() if key == name)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """`1`, `true`, `True` and anything but `0`, `no`, `false`, `none` and nothing mean yes, as in dockerd."""
        value = self._values.get(name)
        return default if value is None else value.strip().lower() not in _FALSE

    def integer(self, name: str, default: int | None = None) -> int | None:
        value = self._values.get(name, "")
        if not value:
            return default
        if not re.fullmatch(r"[+-]?\d{1,18}", value):
            raise InvalidParameter(f"{name}: parsing {json.dumps(value[:60])}: invalid syntax, expected an integer")
        return int(value)

    def filters(self) -> dict[str, tuple[str, ...]]:
        """`filters`, either `{"label": {"a=b": true}}` (the CLI) or `{"label": ["a=b"]}` (the SDK)."""
        value = self._values.get("filters", "")
        if not value:
            return {}
        with of_field("invalid filters"):
            document = decode(value.encode("utf-8", "surrogatepass"))
        if document is None:
            return {}
        if not isinstance(document, dict):
            raise InvalidParameter("invalid filters: expected a JSON object")
        return {key: _filter_values(key, wanted) for key, wanted in document.items()}

    def instant(self, name: str) -> int | None:
        """A time as `seconds[.nanoseconds]` or RFC 3339, in nanoseconds since the epoch; `None` where there is none."""
        value = self._values.get(name, "")
        if value in ("", "0"):
            return None
        try:
            return parse_instant(value)
        except InvalidParameter as error:
            raise InvalidParameter(f"invalid value for {name!r}: {error}") from error


def _filter_values(key: str, wanted: object) -> tuple[str, ...]:
    if isinstance(wanted, dict):
        return tuple(value for value, chosen in wanted.items() if chosen)
    if isinstance(wanted, list) and all(isinstance(value, str | bool | int) for value in wanted):
        return tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in wanted)
    if isinstance(wanted, str):
        return (wanted,)
    raise InvalidParameter(f"invalid filters: {key}: expected a list or an object of values")
