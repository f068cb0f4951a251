"""The only door from the web side to engines: a client of an environment, and the values that it speaks in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import engine.client
from engine.client import *  # noqa: F403 - every value of the client, and nothing else of the engine
from engine.client import AsyncClient, Client

if TYPE_CHECKING:
    from webui.environments.models import Environment

__all__ = ["async_client", "client", *engine.client.__all__]

PATIENCE = 10.0
"""Seconds that a page waits for an engine that tells something."""
LONG_PATIENCE = 60.0
"""Seconds that it waits for one that does something."""


def client(environment: Environment, *, timeout: float = PATIENCE) -> Client:
    """A client of *environment*, to be used as a context. Nothing is asked before the first call."""
    return Client(environment.url, timeout=timeout)


def async_client(environment: Environment, *, timeout: float = PATIENCE) -> AsyncClient:
    """The same for streams."""
    return AsyncClient(environment.url, timeout=timeout)
