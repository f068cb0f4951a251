"""The routes, one module a noun."""

from engine.api.routes import (
    archives,
    attach,
    build,
    container_files,
    containers,
    deaths,
    events,
    execs,
    images,
    lifecycle,
    logs,
    networks,
    pull,
    push,
    system,
    usage,
    volumes,
    wait,
)

ALL = (
    system.routes,
    events.routes,
    lifecycle.routes,
    wait.routes,
    attach.routes,
    logs.routes,
    execs.routes,
    usage.routes,
    container_files.routes,
    containers.routes,
    deaths.routes,
    build.routes,
    pull.routes,
    push.routes,
    archives.routes,
    images.routes,
    networks.routes,
    volumes.routes,
)
"""In the order in which they are tried."""
