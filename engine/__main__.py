"""`python -m engine serve`: the daemon. It is configured by the environment (`engine.config`) and logs to stderr."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from typing import Final

from engine.api.server import ApiServer
from engine.config import EngineConfig
from engine.engine import Engine, image_stores
from engine.errors import EngineError, Forbidden
from engine.images.checking import Inspection
from engine.kernel.memory import limit_arenas

_LOG: Final = logging.getLogger("engine")
_USAGE: Final = 64
"""EX_USAGE and EX_UNAVAILABLE of sysexits.h."""
_UNAVAILABLE: Final = 69
_DAMAGED: Final = 1
_ARENAS: Final = 2
"""Heaps of the daemon's many threads: buffers of pulls that are over stay spread over the others."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m engine", description="Havre's container engine")
    commands = parser.add_subparsers(dest="command", required=True)
    serve_parser = commands.add_parser("serve", help="offer the Docker Engine API on a unix socket, in the foreground")
    serve_parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    check_parser = commands.add_parser(
        "check", help="verify images at rest against their digests; stop the engine first"
    )
    check_parser.add_argument("--repair", action="store_true", help="put right what can be put right")
    options = parser.parse_args(arguments)
    _log_to_stderr(getattr(options, "log_level", "warning").upper())
    try:
        config = EngineConfig.from_environ()
    except EngineError as error:
        return _refuse(error, _USAGE)
    try:
        _check_host()
        if options.command == "check":
            return check(config, repair=options.repair)
        limit_arenas(_ARENAS)
        asyncio.run(serve(config))
    except EngineError as error:
        return _refuse(error, _UNAVAILABLE)
    except OSError as error:
        return _refuse(error, _UNAVAILABLE)
    return 0


async def serve(config: EngineConfig) -> None:
    """Serve until SIGTERM or SIGINT. Containers go on running after that."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    engine = await asyncio.to_thread(Engine, config)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, engine.close)
        await asyncio.to_thread(engine.start)
        server = ApiServer(engine, path=config.socket, group=config.socket_group)
        stack.push_async_callback(server.close)
        await server.start()
        _LOG.info("listening on %s", config.socket)
        await stop.wait()
        _LOG.info("stopping; containers go on running")


def check(config: EngineConfig, *, repair: bool) -> int:
    """Verify what lies in the stores and tell it on stdout; 0 when all is well or has been put right, else 1."""
    left = found = 0
    with image_stores(config) as stores:
        for finding in Inspection(stores, repair=repair).run():
            found += 1
            left += not finding.repaired
            sys.stdout.write(f"{finding}\n")
    sys.stdout.write(f"{found} findings, {found - left} put right\n" if found else "everything is as it should be\n")
    return _DAMAGED if left else 0


def _check_host() -> None:
    """Root, and the system's programs within reach; what else is missing the services say when they are made."""
    if os.geteuid() != 0:
        raise Forbidden("the engine must run as root: it makes namespaces and mounts")
    # Daemons are often started with a PATH that leaves out the system programs.
    directories = [*os.environ.get("PATH", "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    os.environ["PATH"] = ":".join(dict.fromkeys(each for each in directories if each))


def _refuse(error: Exception, code: int) -> int:
    sys.stderr.write(f"havre engine: {error}\n")
    return code


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    for library in ("asyncio", "pyroute2", "urllib3"):
        logging.getLogger(library).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
