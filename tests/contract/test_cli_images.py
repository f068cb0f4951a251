"""The docker CLI and images: version, info, pull, images, tag, history, rmi."""

from __future__ import annotations

import json
import re

import pytest

from tests.fixtures.daemons import Daemon


def test_version_names_client_and_server(daemon: Daemon) -> None:
    out = daemon.docker("version", "--format", "{{.Server.Os}} {{.Server.APIVersion}}").stdout.split()
    assert out[0] == "linux"
    assert tuple(map(int, out[1].split("."))) >= (1, 41)


def test_info_counts_and_has_no_swarm(daemon: Daemon) -> None:
    info = json.loads(daemon.docker("info", "--format", "{{json .}}").stdout)
    assert info["Swarm"]["LocalNodeState"] == "inactive"
    assert info["OSType"] == "linux"
    assert info["NCPU"] >= 1
    assert info["MemTotal"] > 1 << 28
    assert info["Containers"] == info["ContainersRunning"] + info["ContainersPaused"] + info["ContainersStopped"]
    assert not info.get("ServerErrors")


def test_pull_shows_progress_digest_and_status(daemon: Daemon) -> None:
    daemon.docker("rmi", "-f", "alpine", check=False)
    out = daemon.docker("pull", "alpine").stdout.splitlines()
    assert out[0] == "Using default tag: latest"
    assert out[1] == "latest: Pulling from library/alpine"
    assert any(re.fullmatch(r"[0-9a-f]{12}: Pull complete", line) for line in out)
    assert re.fullmatch(r"Digest: sha256:[0-9a-f]{64}", out[-3])
    assert out[-2] == "Status: Downloaded newer image for alpine:latest"
    assert out[-1] == "docker.io/library/alpine:latest"


def test_pull_again_says_that_it_is_up_to_date(daemon: Daemon, busybox: str) -> None:
    out = daemon.docker("pull", busybox).stdout
    assert "Status: Image is up to date for busybox:latest" in out


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("BUSYBOX", r"invalid reference format: repository name .*must be lowercase"),
        ("busybox@sha256:12", r"invalid reference format"),
    ],
)
def test_pull_of_what_is_not_there(daemon: Daemon, reference: str, words: str) -> None:
    result = daemon.docker("pull", reference, check=False)
    assert result.returncode == 1
    assert re.search(words, result.stderr)


def test_pull_of_a_tag_that_is_not_there(daemon: Daemon) -> None:
    name = f"{daemon.mirrors[0].removeprefix('http://')}/library/busybox:nosuchtag"
    result = daemon.docker("pull", name, check=False)
    assert result.returncode == 1
    assert f"manifest for {name} not found: manifest unknown" in result.stderr


def test_images_has_docker_columns(daemon: Daemon, busybox: str) -> None:
    header, *rows = daemon.docker("images", busybox).stdout.splitlines()
    assert header.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    row = rows[0].split()
    assert row[:2] == ["busybox", "latest"]
    assert re.fullmatch(r"[0-9a-f]{12}", row[2])
    assert re.fullmatch(r"[\d.]+MB", row[-1])


def test_an_image_answers_to_name_id_and_beginning_of_the_id(daemon: Daemon, busybox: str) -> None:
    whole = daemon.docker("image", "inspect", "-f", "{{.Id}}", busybox).stdout.strip()
    for name in (f"{busybox}:latest", whole, whole[7:], whole[7:19], f"docker.io/library/{busybox}"):
        assert daemon.docker("image", "inspect", "-f", "{{.Id}}", name).stdout.strip() == whole


def test_inspect_of_an_image_has_config_and_layers(daemon: Daemon, busybox: str) -> None:
    [document] = json.loads(daemon.docker("image", "inspect", busybox).stdout)
    assert document["RepoTags"] == ["busybox:latest"]
    assert document["RepoDigests"][0].startswith("busybox@sha256:")
    assert document["RootFS"]["Type"] == "layers"
    assert len(document["RootFS"]["Layers"]) == 1
    assert document["Os"] == "linux"
    assert document["GraphDriver"]["Name"] == "overlay2"
    assert document["Config"]["Cmd"]
    assert {"Id", "Parent", "Comment", "Created", "DockerVersion", "Author", "Architecture", "Size"} <= set(document)


def test_tag_and_rmi_of_one_of_two_names(daemon: Daemon, busybox: str) -> None:
    daemon.docker("tag", busybox, "other:1")
    assert daemon.docker("images", "-q", "other").stdout == daemon.docker("images", "-q", busybox).stdout
    assert daemon.docker("rmi", "other:1").stdout == "Untagged: other:1\n"
    assert daemon.docker("images", "-q", "other").stdout == ""


def test_history_shows_the_layers(daemon: Daemon, busybox: str) -> None:
    out = daemon.docker("history", "--no-trunc", "--format", "{{.ID}} {{.Size}}", busybox).stdout.splitlines()
    assert out[0].startswith("sha256:")
    assert any(line.endswith("MB") for line in out)


def test_rmi_of_nothing_and_of_something_used(daemon: Daemon, busybox: str) -> None:
    result = daemon.docker("rmi", "nosuch", check=False)
    assert result.returncode == 1
    # An older CLI leaves out the tag.
    assert "No such image: nosuch" in result.stderr
    name = daemon.docker("create", busybox).stdout.strip()
    try:
        result = daemon.docker("rmi", busybox, check=False)
        assert result.returncode == 1
        assert re.search(
            r'conflict: unable to remove repository reference "busybox" \(must force\) - container [0-9a-f]{12} '
            r"is using its referenced image [0-9a-f]{12}",
            result.stderr,
        )
    finally:
        daemon.docker("rm", name)


def test_rmi_removes_name_digest_and_layers(daemon: Daemon) -> None:
    daemon.docker("pull", "-q", "alpine")
    lines = daemon.docker("rmi", "alpine").stdout.splitlines()
    assert lines[0] == "Untagged: alpine:latest"
    assert lines[1].startswith("Untagged: alpine@sha256:")
    assert all(line.startswith("Deleted: sha256:") for line in lines[2:])
    assert daemon.docker("images", "-q", "alpine").stdout == ""


def test_filters_of_images(daemon: Daemon, busybox: str) -> None:
    assert daemon.docker("images", "-q", "--filter", "dangling=true").stdout == ""
    assert daemon.docker("images", "-q", "--filter", "reference=busy*").stdout.strip()
    result = daemon.docker("images", "--filter", "nosuch=1", check=False)
    assert result.returncode == 1
    assert "invalid filter 'nosuch'" in result.stderr.lower()
