"""The one map from an error to an HTTP status.

The statuses are dockerd's where its clients look at them: a start or stop repeated is 304, an ambiguous prefix and a
taken port are 500, a command that cannot be executed is 400. A pull for which nobody has signed in is 500 as well: at a
401 the CLI asks for a name, and waits for ever where there is no terminal.
"""

from __future__ import annotations

from typing import Final

from engine import errors

_STATUS: Final[dict[type[errors.EngineError], int]] = {
    errors.NotModified: 304,
    errors.InvalidParameter: 400,
    errors.Unauthorized: 401,
    errors.NoCredentials: 500,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Cancelled: 499,
    errors.AmbiguousId: 500,
    errors.Unavailable: 500,
    errors.EngineFault: 500,
    errors.NotImplementedHere: 501,
    errors.EngineError: 500,
}


def status_of(error: errors.EngineError) -> int:
    """The status of the nearest class of the error that the map knows."""
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
