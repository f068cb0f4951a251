"""The docker CLI and registries: login, manifest inspection, search, pulls by digest and of all tags."""

from __future__ import annotations

import json
import re

import pytest

from tests.fixtures.daemons import Daemon, HavreDaemon


def address(daemon: Daemon) -> str:
    return daemon.mirrors[0].removeprefix("http://")


def answer(daemon: Daemon, path: str, method: str = "GET", body: str = "") -> tuple[int, object]:
    """What the socket answers, asked as every client could."""
    command = ["curl", "-s", "-X", method, "-w", "\n%{http_code}", "--unix-socket", str(daemon.socket)]
    command += ["-H", "Content-Type: application/json", *(["-d", body] if body else []), f"http://d/v1.41{path}"]
    text, _, status = daemon.namespace.run(*command).stdout.rpartition("\n")
    return int(status), json.loads(text)


def test_login_to_a_registry_that_asks_for_nothing(daemon: Daemon) -> None:
    body = json.dumps({"username": "ada", "password": "secret", "serveraddress": address(daemon)})
    assert answer(daemon, "/auth", "POST", body) == (200, {"Status": "Login Succeeded", "IdentityToken": ""})


def test_login_to_nobody(daemon: Daemon) -> None:
    body = json.dumps({"username": "ada", "password": "secret", "serveraddress": "127.0.0.1:1"})
    status, document = answer(daemon, "/auth", "POST", body)
    assert status == 500
    assert "refused" in str(document)


def test_distribution(daemon: Daemon) -> None:
    name = f"{address(daemon)}/library/busybox:latest"
    status, document = answer(daemon, f"/distribution/{name}/json")
    assert status == 200
    assert isinstance(document, dict)
    descriptor = document["Descriptor"]
    assert descriptor["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", descriptor["digest"])
    assert descriptor["size"] > 100
    if daemon.kind == "havre":  # dockerd 20.10 knows the platforms of its own manifests only
        assert document["Platforms"] == [{"architecture": "amd64", "os": "linux"}]
    assert answer(daemon, f"/distribution/{address(daemon)}/nosuch:latest/json")[0] == 404


def test_pull_by_digest(daemon: Daemon) -> None:
    name = f"{address(daemon)}/library/alpine"
    _, document = answer(daemon, f"/distribution/{name}:latest/json")
    assert isinstance(document, dict)
    by_digest = f"{name}@{document['Descriptor']['digest']}"
    out = daemon.docker("pull", by_digest).stdout
    assert f"{by_digest}: Pulling from library/alpine" in out
    assert f"Status: Downloaded newer image for {by_digest}" in out
    [found] = json.loads(daemon.docker("image", "inspect", by_digest).stdout)
    assert (found["RepoTags"], found["RepoDigests"]) == ([], [by_digest])
    assert daemon.docker("rmi", by_digest).stdout.splitlines()[0] == f"Untagged: {by_digest}"


def test_pull_of_all_tags(daemon: Daemon) -> None:
    name = f"{address(daemon)}/library/alpine"
    out = daemon.docker("pull", "-a", name).stdout.splitlines()
    pulled = [line.partition(":")[0] for line in out if line.endswith(": Pulling from library/alpine")]
    assert {"3.10", "latest"} <= set(pulled)
    assert out[-2] == f"Status: Downloaded newer image for {name}"
    tags = daemon.docker("images", "--format", "{{.Tag}}", name).stdout.split()
    assert sorted(tags) == sorted(pulled)
    daemon.docker("rmi", *(f"{name}:{tag}" for tag in tags))


def test_search_in_the_wrong_words(daemon: Daemon) -> None:
    assert answer(daemon, "/images/search?term=x&limit=1000") == (
        400,
        {"message": "Limit 1000 is outside the range of [1, 100]"},
    )
    wrong = "/images/search?term=x&filters=%7B%22foo%22%3A%5B%22a%22%5D%7D"
    assert answer(daemon, wrong)[0] == 400


def test_search_in_a_registry_of_ones_own(havre: HavreDaemon) -> None:
    found = havre.docker("search", "--format", "{{.Name}}", f"{address(havre)}/box").stdout.split()
    assert found == ["library/busybox"]
    assert (
        havre.docker("search", "--format", "{{.Name}}", "--limit", "1", f"{address(havre)}/l").stdout.count("\n") == 1
    )


def test_images_that_no_container_uses_are_pruned(daemon: Daemon, busybox: str) -> None:
    container = daemon.docker("create", busybox, "true").stdout.strip()
    daemon.docker("pull", "-q", "alpine")
    daemon.docker("tag", "alpine", "old/alpine:1")
    size = int(daemon.docker("image", "inspect", "-f", "{{.Size}}", "alpine").stdout)
    assert "Total reclaimed space: 0B" in daemon.docker("image", "prune", "-f").stdout
    out = daemon.docker("image", "prune", "-af", "--filter", "until=1m").stdout.splitlines()
    assert {"Untagged: alpine:latest", "untagged: alpine:latest"} & set(out)
    assert {"Untagged: old/alpine:1", "untagged: old/alpine:1"} & set(out)
    assert size
    assert re.fullmatch(r"Total reclaimed space: [1-9][\d.]*MB", out[-1])
    assert daemon.docker("images", "-q", "alpine").stdout == ""
    assert daemon.docker("images", "-q", busybox).stdout, "it has a container"
    daemon.docker("rm", container)


@pytest.mark.parametrize(
    ("filters", "words"),
    [("nosuch=1", "invalid filter 'nosuch"), ("until=tomorrow", "tomorrow")],
)
def test_prune_refuses_filters_that_make_no_sense(daemon: Daemon, filters: str, words: str) -> None:
    result = daemon.docker("image", "prune", "-f", "--filter", filters, check=False)
    assert result.returncode == 1
    assert words in result.stderr.lower()


def test_prune_by_label(daemon: Daemon, busybox: str) -> None:
    for color in ("red", "blue"):
        container = daemon.docker("create", busybox, "true").stdout.strip()
        daemon.docker("commit", "-c", f"LABEL color={color}", container, f"painted:{color}")
        daemon.docker("rm", container)
    daemon.docker("image", "prune", "-af", "--filter", "label=color", "--filter", "label!=color=blue")
    assert daemon.docker("images", "--format", "{{.Tag}}", "painted").stdout.split() == ["blue"]
    daemon.docker("rmi", "painted:blue")


def test_disk_usage(daemon: Daemon, busybox: str) -> None:
    """Two images that share a layer: it counts once, and the second has nothing of its own but a small layer."""
    container = daemon.docker("create", busybox, "true").stdout.strip()
    daemon.docker("cp", "/etc/hostname", f"{container}:/own")
    daemon.docker("commit", container, "shares:1")
    _, usage = answer(daemon, "/system/df")
    assert isinstance(usage, dict)
    rows = {tag: row for row in usage["Images"] for tag in row["RepoTags"] or ()}
    base, own = rows["busybox:latest"], rows["shares:1"]
    assert base["SharedSize"] == own["SharedSize"] == base["Size"]
    assert 0 < own["Size"] - own["SharedSize"] < 100
    assert (base["Containers"], own["Containers"]) == (1, 0)
    assert usage["LayersSize"] == sum(row["Size"] - row["SharedSize"] for row in usage["Images"]) + base["SharedSize"]
    daemon.docker("rm", container)
    daemon.docker("rmi", "shares:1")
