"""What can go wrong in the engine.

    EngineError
    ├── InvalidParameter        the request cannot mean anything valid
    │   ├── CommandUnusable     the container's command cannot be executed (carries an exit code)
    │   └── DockerfileError     a Dockerfile means nothing (in `engine.build.dockerfile.errors`, with its place)
    ├── NotFound
    │   ├── ContainerNotFound
    │   ├── ExecNotFound
    │   ├── ImageNotFound
    │   ├── NetworkNotFound
    │   ├── VolumeNotFound
    │   └── ManifestUnknown     the registry does not have it
    ├── AmbiguousId             a prefix of more than one id
    ├── Conflict                the object's state, name or users forbid it
    │   └── NotRunning
    ├── NotModified             it is already so
    ├── Forbidden               never allowed, whatever the state
    ├── Unauthorized            a registry wants other credentials
    │   └── NoCredentials       a registry wants some, and there are none
    ├── NotImplementedHere      a part of the API that this engine does not have
    ├── Unavailable             a peer (a registry) does not answer; may work later
    ├── Cancelled               the caller asked to stop
    └── EngineFault             the host or the engine failed
        ├── DigestMismatch      content is not what its digest says
        ├── PortInUse           a host port is taken
        ├── StorageFull         no space, no inodes or no quota left
        └── RuntimeFailed       the OCI runtime or its monitor failed

Every message says what happened, on what, and where it helps what to do next. Nothing here knows of HTTP: the one map
from these classes to a status is `engine.api.status`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class EngineError(Exception):
    """The root of the tree. `str(error)` is the sentence that a user reads."""


class InvalidParameter(EngineError):
    pass


class CommandUnusable(InvalidParameter):
    """The container's command cannot be executed.

    `exit_code` is what a shell would give: 127 when it is not there, 126 when it may not be executed.
    """

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class NotFound(EngineError):
    pass


class ContainerNotFound(NotFound):
    def __init__(self, reference: str) -> None:
        super().__init__(f"No such container: {reference}")


class ExecNotFound(NotFound):
    def __init__(self, reference: str) -> None:
        super().__init__(f"No such exec instance: {reference}")


class ImageNotFound(NotFound):
    def __init__(self, reference: str) -> None:
        super().__init__(f"No such image: {reference}")


class NetworkNotFound(NotFound):
    def __init__(self, reference: str) -> None:
        super().__init__(f"network {reference} not found")


class VolumeNotFound(NotFound):
    pass


class ManifestUnknown(NotFound):
    pass


class AmbiguousId(EngineError):
    def __init__(self, prefix: str, noun: str = "container") -> None:
        super().__init__(
            f"Multiple IDs found with provided prefix: {prefix}. Give more digits of the {noun}'s id, or its name."
        )


class Conflict(EngineError):
    pass


class NotRunning(Conflict):
    pass


class NotModified(EngineError):
    pass


class Forbidden(EngineError):
    pass


class Unauthorized(EngineError):
    pass


class NoCredentials(Unauthorized):
    pass


class NotImplementedHere(EngineError):
    pass


class Unavailable(EngineError):
    pass


class Cancelled(EngineError):
    pass


class EngineFault(EngineError):
    pass


class DigestMismatch(EngineFault):
    pass


class PortInUse(EngineFault):
    pass


class StorageFull(EngineFault):
    pass


class RuntimeFailed(EngineFault):
    pass


@contextmanager
def of_field(name: str) -> Iterator[None]:
    """What goes wrong inside, or is not there, is told of the client's field *name*, as `InvalidParameter`."""
    try:
        yield
    except (InvalidParameter, NotFound) as error:
        raise InvalidParameter(f"{name}: {error}") from error
