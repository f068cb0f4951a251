"""The processes of Havre: what each runs, as whom, and when it is ready."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
from collections.abc import Callable
from pathlib import Path

from bringup import reach
from bringup.config import PROJECT, Config
from bringup.console import Failure, run, say
from bringup.host import find
from bringup.supervisor import Service, supervise

NEEDED = ("engine", "webui", "static", "templates", "manage.py", "pyproject.toml")
"""What the web side reads of the project."""

REDIS_CHATTER = ("oO0OoO0", "Redis version", "Configuration loaded", "initialized", "overcommit", "hutdown", "bye bye")
"""What Redis says at every start and stop."""


def engine_command(config: Config) -> list[str]:
    return [str(config.python), "-m", "engine", "serve"]


def engine_environ(config: Config) -> dict[str, str]:
    return {**config.environ(), "PATH": f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"}


def run_stack(config: Config) -> int:
    """Start everything and stay until told to stop; the exit code."""
    prepare = reach.become(config.user, config.group, _needed(config))
    web, worker = _web(config, prepare)
    links: list[str] = []

    def migrate() -> None:
        links.extend(_migrate(config, prepare).split())

    def announce() -> None:
        say(f"Havre is ready: {config.url}")
        if links:
            say(f"make the administrator's account with this link, which works once: {links[-1]}")
        say(f"docker CLI: export DOCKER_HOST=unix://{config.socket}")

    # The page first, so that a person can sign in while the worker still imports its libraries.
    stages = [_foundations(config, prepare), [web], [worker]]
    return asyncio.run(supervise(stages, prepare={1: migrate, 2: announce}))


def _foundations(config: Config, prepare: Callable[[], None]) -> list[Service]:
    services = [
        Service(
            name="engine",
            command=engine_command(config),
            cwd=PROJECT,
            environ=engine_environ(config),
            ready=lambda: _connects(config.socket),
            prepare=reach.end_with_parent,
            stop_patience=30,
        )
    ]
    if not config.redis_url:
        path = config.redis_directory / "redis.sock"
        services.append(
            Service(
                name="redis",
                command=_redis(config, path),
                cwd=config.redis_directory,
                environ=config.environ(),
                ready=lambda: _redis_answers(path),
                prepare=prepare,
                chatter=REDIS_CHATTER,
            )
        )
    return services


def _redis(config: Config, path: Path) -> list[str]:
    """On a unix socket alone; what waits in the queue is kept over a restart."""
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(config.web_state / "redis"),
        "save": "",
        "appendonly": "yes",
        "daemonize": "no",
        "loglevel": "warning",
        "databases": "1",
    }
    return [
        find("redis-server") or "redis-server",
        *(word for name, value in options.items() for word in (f"--{name}", value)),
    ]


def _web(config: Config, prepare: Callable[[], None]) -> list[Service]:
    python = str(config.python)
    celery = [python, "-m", "celery", "--app", "webui"]
    worker = ["worker", "--pool", "threads", "--concurrency", str(config.jobs), "--loglevel", "warning"]
    worker += ["--without-gossip", "--without-mingle", "--schedules"]
    daphne = ["daphne", "--bind", config.host, "--port", str(config.port), "--verbosity", "0", "--no-server-name"]

    def service(name: str, command: list[str], ready: Callable[[], bool]) -> Service:
        return Service(name=name, command=command, cwd=PROJECT, environ=config.environ(), ready=ready, prepare=prepare)

    return [
        service("web", [python, "-m", *daphne, "webui.asgi:application"], lambda: _serves(config)),
        service("worker", [*celery, "--quiet", *worker], lambda: True),
    ]


def _needed(config: Config) -> list[Path]:
    interpreter = config.python.resolve()
    paths = [PROJECT / name for name in NEEDED]
    paths += [config.venv, interpreter.parents[1], config.web_state, config.run]
    return list(dict.fromkeys(paths))


def _migrate(config: Config, prepare: Callable[[], None]) -> str:
    """Bring the database up to date; the set-up link, when there is no administrator. One process: starts are slow."""
    code = (
        "import django; django.setup(); from django.core.management import call_command as call; "
        "call('migrate', interactive=False, verbosity=0); call('setup_link')"
    )
    return run(
        [config.python, "-c", code],
        cwd=PROJECT,
        environ=config.environ(),
        preexec=prepare,
        advice=f"Look whether {config.web_state} belongs to {config.user}, or whether DATABASE_URL is right.",
    )


def check_reach(config: Config) -> None:
    """Say in time that the web side's user cannot read the code, and what to do."""
    prepare = reach.become(config.user, config.group, _needed(config))
    run(
        [config.python, "-c", "import webui"],
        cwd=PROJECT,
        environ=config.environ(),
        preexec=prepare,
        advice=f"The user {config.user} cannot read the code in {PROJECT} or run {config.python}: "
        f"chmod -R a+rX {PROJECT}, or clone it again elsewhere, such as /opt/havre.",
    )


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        return connection.connect_ex(str(path)) == 0


def _redis_answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _serves(config: Config) -> bool:
    connection = http.client.HTTPConnection(config.url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse()
        return True  # whatever it says: an error page is an answer too
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def exec_engine(config: Config) -> None:
    """Become the engine: `up --only engine`."""
    os.chdir(PROJECT)
    command = engine_command(config)
    try:
        os.execve(command[0], command, engine_environ(config))  # noqa: S606 - an argument list, no shell
    except OSError as error:
        raise Failure(f"cannot run {command[0]}: {error}") from error
