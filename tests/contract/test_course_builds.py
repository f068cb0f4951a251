"""The Dockerfiles of an introductory course, verbatim, with real packages: they take minutes and a mirror of Debian."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from engine.networks import forwarding
from tests.conftest import scratch_directory
from tests.fixtures.built import build, write_context
from tests.fixtures.daemons import HavreDaemon
from tests.fixtures.leaks import nothing_left_behind
from tests.fixtures.namespaces import Namespace
from tests.fixtures.registry import Registry, free_port

T = TypeVar("T")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

FIRST = """FROM debian
MAINTAINER me
RUN apt update \\
    && apt install -y nginx \\
    && apt clean
COPY index.html /var/www/html
EXPOSE 80
CMD nginx -g 'daemon off;'
"""
SECOND = """FROM debian
RUN apt update && apt install -y nginx
COPY index.html /var/www/html/
EXPOSE 80
CMD nginx -g 'daemon off;'
"""
PAGE = "Yet another hello world\n"


class HostNamespace(Namespace):
    """The host's own network, from which packages can be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.name = f"course-{self.name.rsplit('-', 1)[1]}"

    @property
    def prefix(self) -> list[str]:
        return []

    def call(self, action: Callable[[], T]) -> T:
        return action()

    def __enter__(self) -> HostNamespace:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to take down."""


class Outside(HavreDaemon):
    def links(self) -> set[str]:
        """Only this daemon's own: others are at work on the host."""
        described = self.namespace.run("ip", "-o", "link", "show", "master", self.bridge).stdout
        return {line.split()[1].split("@")[0] for line in described.splitlines()}

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        # The bridge and the table stay for the next start; here the namespace does not take them along.
        subprocess.run(["ip", "link", "delete", self.bridge], check=True)
        subprocess.run(["nft", "delete", "table", "inet", f"havre-{self.bridge}"], check=True)
        forwarding.forget([self.bridge])


@pytest.fixture(scope="module")
def outside(image_cache: Path) -> Iterator[HavreDaemon]:
    with scratch_directory() as directory, nothing_left_behind(words=[str(directory)]) as words:
        namespace = HostNamespace()
        with Registry(image_cache, port=free_port()) as registry:
            with Outside(directory, namespace=namespace, mirrors=[registry.url]) as daemon:
                words += daemon.words()
                yield daemon


def page_of(daemon: HavreDaemon, image: str) -> str:
    """What a container of *image* answers on its published port."""
    port = free_port()
    daemon.docker("run", "-d", "--name", "site", "-p", f"{port}:80", image)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                    text: str = answer.read().decode()
                    return text
            except OSError:
                assert time.monotonic() < deadline, daemon.docker("logs", "site").stdout
                time.sleep(0.2)
    finally:
        daemon.docker("rm", "-f", "site")


def test_a_web_server_is_built_and_answers(outside: HavreDaemon, tmp_path: Path) -> None:
    write_context(tmp_path, FIRST, {"index.html": PAGE})
    out = build(outside, tmp_path, "-t", "first-image:v01", timeout=900).stdout
    assert "Setting up nginx" in out
    assert "JSONArgsRecommended: JSON arguments recommended for CMD" in out
    assert "(line 8)" in out
    assert page_of(outside, "first-image:v01") == PAGE
    outside.docker("tag", "first-image:v01", "first-image:latest")
    rows = outside.docker("images", "--format", "{{.Tag}} {{.ID}}", "first-image").stdout.split()
    assert sorted(rows[::2]) == ["latest", "v01"]
    assert len(set(rows[1::2])) == 1


def test_a_small_change_rebuilds_only_what_it_must(outside: HavreDaemon, tmp_path: Path) -> None:
    write_context(tmp_path, SECOND, {"index.html": PAGE})
    build(outside, tmp_path, "-t", "second:1", timeout=900)
    write_context(tmp_path, SECOND, {"index.html": "changed\n"})
    began = time.monotonic()
    out = build(outside, tmp_path, "-t", "second:2").stdout
    assert out.count("Using cache") == 1
    assert time.monotonic() - began < 60
    assert page_of(outside, "second:2") == "changed\n"


def test_a_comma_between_ports_is_explained(outside: HavreDaemon, tmp_path: Path) -> None:
    write_context(tmp_path, FIRST.replace("EXPOSE 80", "EXPOSE 80, 443"), {"index.html": PAGE})
    result = build(outside, tmp_path, check=False)
    assert result.returncode == 1
    assert "80," in result.stderr
    assert "write EXPOSE 80 443" in result.stderr
