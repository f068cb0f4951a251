"""The processes of Havre: what each runs, as whom, and when it is ready."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
from collections.abc import Callable
from pathlib import Path

from bringup import ports, reach
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
    links: list[str] = []
    announced = False

    def is_link(line: str) -> bool:
        """Kept until there is a page to open it with."""
        if announced or not line.startswith(f"http://{config.host}"):
            return False
        links.append(line)
        return True

    def announce() -> None:
        nonlocal announced
        announced = True
        say(f"Havre is ready: {config.url}")
        if links:
            say(f"make the administrator's account with this link, which works once: {links[-1]}")
        say(f"docker CLI: export DOCKER_HOST=unix://{config.socket}")

    # The page needs the engine and Redis only once somebody asks for it, and loads beside them. The worker comes last,
    # so that a person can sign in while it still imports its libraries.
    stages = [_foundations(config, prepare), [_web(config, prepare, is_link)], [_worker(config, prepare)]]
    return asyncio.run(supervise(stages, prepare={2: announce}))


def _foundations(config: Config, prepare: Callable[[], None]) -> list[Service]:
    services = [
        Service(
            name="engine",
            command=engine_command(config),
            cwd=PROJECT,
            environ=engine_environ(config),
            ready=lambda _: _connects(config.socket),
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
                ready=lambda _: _redis_answers(path),
                prepare=prepare,
                hides=lambda line: any(word in line for word in REDIS_CHATTER),
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


def _web(config: Config, prepare: Callable[[], None], is_link: Callable[[str], bool]) -> Service:
    daphne = ["--bind", config.host, "--port", str(config.port), "--verbosity", "0", "--no-server-name"]
    return Service(
        name="web",
        command=[str(config.python), "-m", "webui.serve", *daphne],
        cwd=PROJECT,
        environ=config.environ(),
        # Its own port: the answer of another program there is no page of ours.
        ready=lambda pid: ports.listens(pid, config.port) and _serves(config),
        prepare=prepare,
        waits=False,
        hides=is_link,
    )


def _worker(config: Config, prepare: Callable[[], None]) -> Service:
    worker = ["worker", "--pool", "threads", "--concurrency", str(config.jobs), "--loglevel", "warning"]
    worker += ["--without-gossip", "--without-mingle", "--schedules"]
    return Service(
        name="worker",
        command=[str(config.python), "-m", "celery", "--app", "webui", "--quiet", *worker],
        cwd=PROJECT,
        environ=config.environ(),
        ready=lambda _: True,
        prepare=prepare,
    )


def _needed(config: Config) -> list[Path]:
    interpreter = config.python.resolve()
    paths = [PROJECT / name for name in NEEDED]
    paths += [config.venv, interpreter.parents[1], config.web_state, config.run]
    return list(dict.fromkeys(paths))


def check_reach(config: Config) -> None:
    """Say in time that the web side's user cannot read the code, and what to do."""
    prepare = reach.become(config.user, config.group, _needed(config))
    run(
        [config.python, "-c", "import importlib.util as util; open(util.find_spec('webui').origin).close()"],
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
