"""Where this instance keeps its things, read from the environment. README.md has the table of all variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bringup.console import Failure

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Config:
    """One instance; two live side by side when root, run, bridge and bind differ."""

    root: Path
    run: Path
    socket: Path
    host: str
    port: int
    user: str
    group: str
    venv: Path
    redis_url: str
    """Empty when `up` runs a Redis of its own."""
    jobs: int
    """How many jobs the worker carries out at once."""

    @property
    def web_state(self) -> Path:
        """What belongs to the web side: its database, its key, its queue. Owned by the user havre."""
        return self.root / "web"

    @property
    def redis_directory(self) -> Path:
        return self.run / "redis"

    @property
    def python(self) -> Path:
        return self.venv / "bin/python"

    @property
    def url(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{self.port}"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Config:
        """Read the variables; `Failure` names the one that is wrong."""
        run = _directory(environ, "HAVRE_RUN", "/run/havre")
        host, port = _bind(environ.get("HAVRE_BIND") or "127.0.0.1:8000")
        jobs = environ.get("HAVRE_JOBS") or "4"
        if not re.fullmatch(r"[1-9][0-9]?", jobs):
            raise Failure(f"HAVRE_JOBS={jobs!r}: give a number from 1 to 99")
        return cls(
            root=_directory(environ, "HAVRE_ROOT", "/var/lib/havre"),
            run=run,
            socket=_directory(environ, "HAVRE_SOCKET", str(run / "engine.sock")),
            host=host,
            port=port,
            user=environ.get("HAVRE_USER") or "havre",
            group=environ.get("HAVRE_GROUP") or "havre",
            venv=_directory(environ, "HAVRE_VENV", str(PROJECT / ".venv")),
            redis_url=environ.get("REDIS_URL") or "",
            jobs=int(jobs),
        )

    def environ(self) -> dict[str, str]:
        """For every process of this instance: what it was given, and where the rest is."""
        return {
            **os.environ,
            "HAVRE_ROOT": str(self.root),
            "HAVRE_RUN": str(self.run),
            "HAVRE_SOCKET": str(self.socket),
            "HAVRE_BIND": f"{self.host}:{self.port}",
            "HAVRE_GROUP": self.group,
            "REDIS_URL": self.redis_url or f"unix://{self.redis_directory}/redis.sock",
            "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE") or "webui.settings",
            "PYTHONUNBUFFERED": "1",
        }


def _directory(environ: Mapping[str, str], name: str, default: str) -> Path:
    path = Path(environ.get(name) or default)
    if not path.is_absolute():
        raise Failure(f"{name}={str(path)!r}: give an absolute path")
    if len(str(path)) > 85 and name in ("HAVRE_RUN", "HAVRE_SOCKET"):
        raise Failure(f"{name}={str(path)!r} is too long: the path of a unix socket has at most 107 characters")
    return path


def _bind(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise Failure(f"HAVRE_BIND={text!r}: give an address and a port, such as 127.0.0.1:8000 or [::1]:8000")
    return host.strip("[]") if host.startswith("[") else host, int(port)
