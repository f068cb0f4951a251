"""The only door from the web side to engines: a client of an environment, and the values that it speaks in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.client import (
    AsyncClient,
    Attachment,
    Auth,
    BindMount,
    Client,
    ClientError,
    Conflict,
    ContainerDetail,
    ContainerState,
    ContainerSummary,
    CreateContainer,
    EndpointFault,
    Event,
    Forbidden,
    HistoryEntry,
    HostInfo,
    ImageDetail,
    ImageSummary,
    InvalidRequest,
    LogLine,
    Mount,
    NetworkSummary,
    NotFound,
    NotSupported,
    Port,
    PullEvent,
    RemovedImage,
    Terminal,
    TimedOut,
    Unreachable,
    VersionInfo,
)

if TYPE_CHECKING:
    from webui.environments.models import Environment

__all__ = [
    "AsyncClient",
    "Attachment",
    "Auth",
    "BindMount",
    "Client",
    "ClientError",
    "Conflict",
    "ContainerDetail",
    "ContainerState",
    "ContainerSummary",
    "CreateContainer",
    "EndpointFault",
    "Event",
    "Forbidden",
    "HistoryEntry",
    "HostInfo",
    "ImageDetail",
    "ImageSummary",
    "InvalidRequest",
    "LogLine",
    "Mount",
    "NetworkSummary",
    "NotFound",
    "NotSupported",
    "Port",
    "PullEvent",
    "RemovedImage",
    "Terminal",
    "TimedOut",
    "Unreachable",
    "VersionInfo",
    "async_client",
    "client",
]

PATIENCE = 10.0
"""Seconds that a page waits for an engine."""


def client(environment: Environment, *, timeout: float = PATIENCE) -> Client:
    """A client of *environment*, to be used as a context. Nothing is asked before the first call."""
    return Client(environment.url, timeout=timeout)


def async_client(environment: Environment, *, timeout: float = PATIENCE) -> AsyncClient:
    """The same for streams."""
    return AsyncClient(environment.url, timeout=timeout)
