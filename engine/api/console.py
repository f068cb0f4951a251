"""Sizes of terminals in requests: rows and columns."""

from __future__ import annotations

from engine.api.fields import Fields
from engine.api.query import Query
from engine.errors import InvalidParameter

_MOST = 65535
"""An `unsigned short` of the kernel's (ioctl_tty(2), `winsize`)."""


def console_size(body: Fields) -> tuple[int, int]:
    """`ConsoleSize`, rows and columns; zeros where there is none."""
    value = body.get("ConsoleSize")
    if value is None:
        return 0, 0
    if not (
        isinstance(value, list) and len(value) == 2 and all(type(each) is int and 0 <= each <= _MOST for each in value)
    ):
        raise body.wrong("ConsoleSize", f"two integers from 0 to {_MOST}, rows and columns", value)
    return value[0], value[1]


def terminal_size(query: Query) -> tuple[int, int]:
    """The parameters `h` and `w`, both of which must be there."""
    rows, columns = query.integer("h"), query.integer("w")
    if rows is None or columns is None or not (0 <= rows <= _MOST and 0 <= columns <= _MOST):
        raise InvalidParameter(f"h, w: a terminal has 0 to {_MOST} rows and columns")
    return rows, columns
