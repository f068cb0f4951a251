"""What can go wrong in a build, beside what the engine's other parts raise."""

from __future__ import annotations

from engine.errors import EngineError


class CommandFailed(EngineError):
    """A RUN ended with another code than 0."""

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code
