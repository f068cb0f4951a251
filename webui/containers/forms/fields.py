"""Fields of the container forms: sizes, durations, words of a command, and lists with one entry a line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final, TypeVar

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

MIB: Final = 1 << 20
_SIZE: Final = re.compile(r"(\d{1,18}(?:\.\d{1,6})?)\s*(b|[kmgt]?)i?b?", re.IGNORECASE)
_UNITS: Final = {"b": 1, "k": 1 << 10, "m": MIB, "g": 1 << 30, "t": 1 << 40}
_SPAN: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)")
_NANOSECONDS: Final = {"ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_MOST_LINES: Final = 200

Parsed = TypeVar("Parsed")


class SizeField(forms.CharField):
    """Bytes as docker writes them: 512m, 1.5g; a bare number counts MiB. Cleans to bytes, 0 for nothing."""

    def __init__(self, *, least: int = 0, minus_one: bool = False, **options: Any) -> None:
        super().__init__(required=False, max_length=30, **options)
        self.least = least
        self.minus_one = minus_one

    def clean(self, value: Any) -> int:
        text = super().clean(value).strip()
        if not text:
            return 0
        if self.minus_one and text == "-1":
            return -1
        match = _SIZE.fullmatch(text)
        if match is None:
            raise forms.ValidationError(_("Give a size such as 512m or 1.5g."))
        size = int(Decimal(match[1]) * _UNITS[match[2].lower() or "m"])
        if 0 < size < self.least or size > 1 << 62:
            raise forms.ValidationError(_("At least %(least)s.") % {"least": size_text(self.least)})
        return size

    def prepare_value(self, value: Any) -> Any:
        return size_text(value) if isinstance(value, int) and value > 0 else (value or "")


def size_text(size: int) -> str:
    """Bytes in the largest unit that divides them: 536870912 is 512m."""
    unit = next(unit for unit in "tgmkb" if size % _UNITS[unit] == 0)
    return f"{size // _UNITS[unit]}{unit}"


class DurationField(forms.CharField):
    """A span of time: 30s, 1m30s, 500ms; a bare number counts seconds. Cleans to nanoseconds, 0 for nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, max_length=30, **options)

    def clean(self, value: Any) -> int:
        text = super().clean(value).strip().replace(" ", "")
        if not text:
            return 0
        if text.isascii() and text.isdecimal():
            text += "s"
        parts = _SPAN.findall(text)
        if "".join(f"{number}{unit}" for number, unit in parts) != text:
            raise forms.ValidationError(_("Give a time such as 30s, 1m30s or 500ms."))
        found = sum(int(Decimal(number) * _NANOSECONDS[unit]) for number, unit in parts)
        if found and found < _NANOSECONDS["ms"]:
            raise forms.ValidationError(_("At least 1ms."))
        return found

    def prepare_value(self, value: Any) -> Any:
        return duration_text(value) if isinstance(value, int) and value > 0 else (value or "")


def duration_text(nanoseconds: int) -> str:
    """90000000000 is 1m30s."""
    parts, rest = [], nanoseconds
    for unit in ("h", "m", "s", "ms"):
        count, rest = divmod(rest, _NANOSECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


class TextField(forms.CharField):
    """Text that may have several lines, in a box of one line that grows; browsers send CRLF for each line's end."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, widget=forms.Textarea({"rows": 1}), **options)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class WordsField(TextField):
    """A command line, cleaned to its words as a shell would part them; `None` for nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=32768, **options)

    def clean(self, value: Any) -> tuple[str, ...] | None:
        try:
            return tuple(shlex.split(super().clean(value))) or None
        except ValueError as error:
            raise forms.ValidationError(_("A quotation mark is not closed.")) from error

    def prepare_value(self, value: Any) -> Any:
        return shlex.join(value) if isinstance(value, tuple | list) else value


class LinesField(forms.CharField):
    """A list with one entry a line; *parse* makes something of an entry or raises `ValueError` with what is wrong."""

    def __init__(
        self, *, parse: Callable[[str], Parsed], show: Callable[[Parsed], str] = str, rows: int = 2, **options: Any
    ) -> None:
        super().__init__(required=False, max_length=65536, widget=forms.Textarea({"rows": rows}), **options)
        self.parse = parse
        self.show = show

    def clean(self, value: Any) -> tuple[Any, ...]:
        lines = [line.strip() for line in super().clean(value).splitlines() if line.strip()]
        if len(lines) > _MOST_LINES:
            raise forms.ValidationError(_("At most %(n)d lines.") % {"n": _MOST_LINES})
        found = []
        for number, line in enumerate(lines, 1):
            try:
                found.append(self.parse(line))
            except ValueError as error:
                raise forms.ValidationError(
                    _("Line %(n)d, “%(line)s”: %(what)s") % {"n": number, "line": line[:80], "what": error}
                ) from error
        return tuple(found)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, Iterable) and not isinstance(value, str):
            return "\n".join(self.show(each) for each in value)
        return value


def pair(line: str) -> tuple[str, str]:
    """`name=value` of a line; a value may be left out."""
    name, _separator, value = line.partition("=")
    if not name.strip():
        raise ValueError(_("begin with a name"))
    return name.strip(), value.strip()


def pair_text(found: tuple[str, str]) -> str:
    return f"{found[0]}={found[1]}" if found[1] else found[0]


ABSOLUTE = gettext_lazy("Begin with a slash: the path is inside the container.")
