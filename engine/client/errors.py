"""What a call to an endpoint can end with.

    ClientError
    ├── InvalidRequest      400: the endpoint did not understand, or will not accept, what was asked
    ├── Forbidden           401 and 403: not with these credentials, or never
    ├── NotFound            404: no such container, image, network …
    ├── Conflict            409: a name is taken, or the object's state or users forbid it
    ├── NotSupported        501: the endpoint does not have this
    ├── EndpointFault       any other answer from 500 on: the endpoint or its host failed
    └── Unreachable         nobody listens there, or the connection broke
        └── TimedOut        it listens, but did not answer in time

`str(error)` is the endpoint's own sentence, without the SDK's wrapping; `status` is the HTTP status, 0 when there
was no answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import aiodocker
import aiohttp
import docker.errors
import requests


class ClientError(Exception):
    """The root of the tree."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class InvalidRequest(ClientError):
    pass


class Forbidden(ClientError):
    pass


class NotFound(ClientError):
    pass


class Conflict(ClientError):
    pass


class NotSupported(ClientError):
    pass


class EndpointFault(ClientError):
    pass


class Unreachable(ClientError):
    pass


class TimedOut(Unreachable):
    pass


_AIODOCKER_UNREACHABLE = 900

_BY_STATUS: dict[int, type[ClientError]] = {
    400: InvalidRequest,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    501: NotSupported,
}


def from_status(status: int, message: str) -> ClientError:
    """The error for an answer with *status*; *message* may still be the JSON that carried it."""
    kind = _BY_STATUS.get(status, InvalidRequest if status < 500 else EndpointFault)
    return kind(_sentence(message) or f"the endpoint answered {status} without a word", status=status)


@contextmanager
def translated(endpoint: str) -> Iterator[None]:
    """Turn the errors of the docker SDK, requests, aiodocker and aiohttp into those of this module."""
    try:
        yield
    except docker.errors.APIError as error:
        raise from_status(error.status_code or 500, str(error.explanation or error)) from error
    except aiodocker.DockerError as error:
        if error.status == _AIODOCKER_UNREACHABLE:
            raise Unreachable(f"{endpoint} cannot be reached: {_root(error)}") from error
        raise from_status(error.status, error.message) from error
    except (requests.exceptions.Timeout, aiohttp.ServerTimeoutError, TimeoutError) as error:
        raise TimedOut(f"{endpoint} did not answer in time") from error
    except (requests.exceptions.RequestException, aiohttp.ClientError, docker.errors.DockerException) as error:
        raise Unreachable(f"{endpoint} cannot be reached: {_root(error)}") from error
    except OSError as error:
        raise Unreachable(f"{endpoint} cannot be reached: {error.strerror or error}") from error


def _sentence(message: str) -> str:
    text = message.strip()
    if text.startswith("{"):
        try:
            found = json.loads(text).get("message")
        except (ValueError, AttributeError):
            return text
        return str(found) if found else text
    return text


def _root(error: BaseException) -> str:
    """The words of the operating system below the wrapping of three libraries."""
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, OSError) and current.strerror:
            return current.strerror
        inner = current.args[0] if current.args and isinstance(current.args[0], BaseException) else None
        reason = getattr(current, "reason", None)
        current = inner or (reason if isinstance(reason, BaseException) else None) or current.__context__
    return str(error)
