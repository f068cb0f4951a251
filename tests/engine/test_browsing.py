"""Listing the directories of containers, running and not: what is told, and that nothing leads out of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.client import Client, InvalidRequest, NotFound
from tests.fixtures.daemons import HavreDaemon

SCRIPT = """
mkdir -p /d/sub; echo hello > /d/file; chown 5:6 /d/file; chmod 4750 /d/file
ln -s file /d/near; ln -s /d/sub /d/far; ln -s ../../../../../etc /d/up; ln -s /nowhere /d/lost; ln -s loop /d/loop
mkfifo /d/pipe; touch "$(printf '/d/\\377')"; touch /ready; sleep 600
"""


@pytest.fixture(scope="module")
def client(havre: HavreDaemon) -> Iterator[Client]:
    havre.docker("pull", "-q", "busybox")
    with Client(f"unix://{havre.socket}") as client:
        yield client


@pytest.fixture(params=["running", "stopped"])
def container(request: pytest.FixtureRequest, havre: HavreDaemon, client: Client) -> Iterator[str]:
    mounts = ("-v", "vol:/vol", "--tmpfs", "/mem")
    havre.docker("run", "-d", "--init", "--name", "box", *mounts, "busybox", "sh", "-c", SCRIPT)
    havre.docker("exec", "box", "sh", "-c", "while [ ! -e /ready ]; do sleep 0.1; done; touch /vol/kept /mem/fleeting")
    if request.param == "stopped":
        havre.docker("kill", "box")
    yield "box"
    havre.remove_everything()
    havre.docker("volume", "rm", "vol")


def test_a_listing_tells_of_each_name(client: Client, container: str) -> None:
    directory = client.directory(container, "/d/")
    found = {entry.name: entry for entry in directory.entries}
    assert (directory.path, directory.truncated) == ("/d", False)
    assert list(found) == sorted(found)
    file = found["file"]
    assert (file.kind, file.size, file.mode, file.uid, file.gid) == ("file", 6, 0o4750, 5, 6)
    assert file.modified is not None
    assert (found["near"].target, found["near"].leads_to) == ("file", "file")
    assert (found["far"].target, found["far"].leads_to) == ("/d/sub", "directory")
    # In the container's own root, however many steps up it goes.
    assert found["up"].leads_to == "directory"
    assert found["lost"].leads_to == found["loop"].leads_to == ""
    assert found["pipe"].kind == "pipe"
    assert [entry.text for entry in directory.entries if entry.name == "\ufffd"] == [False]


def test_links_on_the_way_stay_inside(client: Client, container: str) -> None:
    inside = client.directory(container, "/d/up")
    assert inside.path == "/etc"
    assert inside.entries == client.directory(container, "/etc").entries
    assert client.directory(container, "/../../..").path == "/"
    assert [entry.name for entry in client.directory(container, "/vol").entries] == ["kept"]


def test_what_is_no_directory_is_refused(client: Client, container: str) -> None:
    for path in ("/d/file", "/d/pipe", "/d/loop"):
        with pytest.raises(InvalidRequest):
            client.directory(container, path)
    for path in ("/d/nothing", "/d/lost", "/d/file/below"):
        with pytest.raises((NotFound, InvalidRequest)):
            client.directory(container, path)
    with pytest.raises(NotFound):
        client.directory("no-such-container", "/")


def test_a_listing_is_cut_where_it_is_asked_to_be(client: Client, container: str) -> None:
    directory = client.directory(container, "/bin", limit=3)
    assert (len(directory.entries), directory.truncated) == (3, True)
