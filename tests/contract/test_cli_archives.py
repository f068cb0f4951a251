"""The docker CLI and images as files: save, load, import; between the two engines and skopeo as well."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.daemons import Daemon, HavreDaemon, PeerDaemon
from tests.fixtures.tars import tar_of


@pytest.fixture
def file_system(tmp_path: Path) -> Path:
    path = tmp_path / "fs.tar"
    path.write_bytes(tar_of({"etc/motd": b"hello\n"}))
    return path


def image_id(daemon: Daemon, name: str) -> str:
    return daemon.docker("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()


def test_save_and_load(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    archive, whole = tmp_path / "a.tar", image_id(daemon, busybox)
    daemon.docker("tag", busybox, "moved/box:1")
    daemon.docker("save", "-o", str(archive), busybox, "moved/box:1")
    daemon.docker("rmi", "moved/box:1")
    out = daemon.docker("load", "-i", str(archive)).stdout
    assert out.splitlines() == ["Loaded image: busybox:latest", "Loaded image: moved/box:1"]
    assert image_id(daemon, "moved/box:1") == whole
    daemon.docker("rmi", "moved/box:1")


def test_an_image_saved_by_its_id_has_no_name(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    archive, whole = tmp_path / "a.tar", image_id(daemon, busybox)
    daemon.docker("save", "-o", str(archive), whole)
    assert daemon.docker("load", "-i", str(archive)).stdout == f"Loaded image ID: {whole}\n"
    with tarfile.open(archive) as tar:
        [entry] = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
    assert entry["RepoTags"] is None


def test_save_and_load_of_what_is_not_there(daemon: Daemon, file_system: Path) -> None:
    result = daemon.docker("save", "-o", str(file_system.with_name("x")), "nosuch", check=False)
    assert result.returncode == 1
    assert "No such image: nosuch" in result.stderr
    result = daemon.docker("load", "-i", str(file_system), check=False)
    assert result.returncode == 1


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_import(daemon: Daemon, file_system: Path, pack: Callable[[bytes], bytes]) -> None:
    file_system.write_bytes(pack(file_system.read_bytes()))
    out = daemon.docker("import", "-c", 'CMD ["/x"]', "-c", "ENV a=b", "-m", "mine", str(file_system), "imported:1")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", out.stdout)
    [found] = json.loads(daemon.docker("image", "inspect", "imported:1").stdout)
    assert found["Config"]["Cmd"] == ["/x"]
    assert found["Config"]["Env"] == ["a=b"]
    assert (found["Comment"], found["Size"], found["Os"]) == ("mine", 6, "linux")
    assert daemon.docker("history", "--format", "{{.Comment}}", "imported:1").stdout == "mine\n"
    daemon.docker("rmi", "imported:1")


def test_import_of_what_is_wrong(daemon: Daemon, file_system: Path) -> None:
    result = daemon.docker("import", "-c", "RUN x", str(file_system), check=False)
    assert result.returncode == 1
    assert re.search(r"(?i)run is not a valid change command", result.stderr)
    file_system.write_bytes(b"no tar at all")
    result = daemon.docker("import", str(file_system), check=False)
    assert result.returncode == 1


def test_an_import_of_sparse_files(daemon: Daemon, tmp_path: Path) -> None:
    """In the format of pax; dockerd refuses GNU's older one."""
    disk = tmp_path / "fs/disk"
    disk.parent.mkdir()
    with disk.open("wb") as file:
        for place in range(8):
            file.seek(place * 200_000)
            file.write(b"piece %d" % place)
        file.truncate(3_000_000)
    command = [
        "tar",
        "-c",
        "--sparse",
        "--hole-detection=seek",
        "--format=posix",
        "-f",
        tmp_path / "fs.tar",
        "-C",
        disk.parent,
        ".",
    ]
    subprocess.run(command, check=True)
    daemon.docker("import", str(tmp_path / "fs.tar"), "sparse:1")
    container = daemon.docker("create", "sparse:1", "true").stdout.strip()
    daemon.docker("cp", f"{container}:/disk", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == disk.read_bytes()
    daemon.docker("rm", container)
    daemon.docker("rmi", "sparse:1")


def test_between_the_engines(havre: HavreDaemon, dockerd: PeerDaemon, tmp_path: Path) -> None:
    """What one saved the other loads, under the same id, and it runs."""
    for source, target in ((havre, dockerd), (dockerd, havre)):
        archive = tmp_path / f"{source.kind}.tar"
        source.docker("pull", "-q", "alpine")
        whole = image_id(source, "alpine")
        source.docker("save", "-o", str(archive), "alpine")
        target.docker("rmi", "-f", "alpine", check=False)
        assert target.docker("load", "-i", str(archive)).stdout == "Loaded image: alpine:latest\n"
        assert image_id(target, "alpine") == whole
        assert target.docker("run", "--rm", "alpine", "echo", "runs").stdout == "runs\n"


def test_skopeo_reads_what_havre_saved_and_writes_what_it_loads(havre: HavreDaemon, tmp_path: Path) -> None:
    havre.docker("pull", "-q", "alpine")
    whole, archive = image_id(havre, "alpine"), tmp_path / "a.tar"
    havre.docker("save", "-o", str(archive), "alpine")
    unpacked = tmp_path / "layout"
    unpacked.mkdir()
    subprocess.run(["tar", "-xf", str(archive), "-C", str(unpacked)], check=True)
    for number, source in enumerate((f"docker-archive:{archive}", f"oci:{unpacked}")):
        for form in ("docker-archive", "oci-archive"):
            copy = tmp_path / f"{number}-{form}.tar"
            subprocess.run(
                ["skopeo", "copy", "-q", "--insecure-policy", source, f"{form}:{copy}:copied:{number}"],
                check=True,
                capture_output=True,
            )
            assert havre.docker("load", "-i", str(copy)).stdout == f"Loaded image: copied:{number}\n"
            [found] = json.loads(havre.docker("image", "inspect", f"copied:{number}").stdout)
            [original] = json.loads(havre.docker("image", "inspect", whole).stdout)
            assert found["RootFS"] == original["RootFS"]
            havre.docker("rmi", f"copied:{number}")


def test_an_export_is_imported_and_runs(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    container = daemon.docker("create", busybox, "true").stdout.strip()
    export = tmp_path / "export.tar"
    daemon.docker("export", "-o", str(export), container)
    daemon.docker("rm", container)
    daemon.docker("import", "-c", "ENV PATH=/bin:/sbin:/usr/bin", str(export), "flat:1")
    assert daemon.docker("run", "--rm", "flat:1", "echo", "flat").stdout == "flat\n"
    daemon.docker("rmi", "flat:1")
