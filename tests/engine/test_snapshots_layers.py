"""The layer store when things go wrong: killed helpers, killed engines, full disks, wrong digests, two at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import Cancelled, DigestMismatch, EngineFault, StorageFull
from engine.kernel.mounts import mounted
from engine.snapshots.layers import LayerStore
from engine.types import Digest
from tests.fixtures.raw_tar import archive, member

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacks layers as root")

LAYER = archive(member(b"a", content=b"a" * 3_000_000), *[member(b"d/%d" % i, content=b"x" * 100) for i in range(500)])
DIFF_ID = Digest.of(LAYER)


@pytest.fixture
def store(tmp_path: Path) -> LayerStore:
    return LayerStore(tmp_path / "layers")


def unpack(store: LayerStore, data: bytes = LAYER, *, expected: Digest | None = None) -> None:
    with store.unpack(expected=expected or Digest.of(data)) as sink:
        sink.write(data)
        sink.commit()


def names(store: LayerStore) -> list[str]:
    """What is in the store's directory besides the links."""
    return sorted(entry.name for entry in store.links.parent.iterdir() if entry.name != "l")


def helpers(store: LayerStore) -> list[int]:
    """Processes whose command line names the store."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"engine.snapshots.unpack" in words and os.fsencode(store.links.parent) in words:
                found.append(int(entry.name))
    return found


def eventually(condition: object, *, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def test_a_layer_has_its_size_its_link_and_its_name(store: LayerStore) -> None:
    unpack(store)
    (link,) = store.short_names([DIFF_ID])
    assert store.has(DIFF_ID)
    assert store.diff_ids() == {DIFF_ID}
    assert store.size(DIFF_ID) == 3_050_000
    assert (store.links / link).resolve() == store.diff(DIFF_ID)
    store.remove(DIFF_ID)
    assert names(store) == list(store.links.iterdir()) == []
    store.remove(DIFF_ID)


def test_a_missing_layer_is_a_fault_that_says_what_to_do(store: LayerStore) -> None:
    with pytest.raises(EngineFault, match="pull them again"):
        store.size(DIFF_ID)


def test_another_digest(store: LayerStore) -> None:
    with pytest.raises(DigestMismatch, match=DIFF_ID):
        unpack(store, expected=Digest.of(b"other"))
    assert names(store) == []


def test_no_commit_leaves_nothing(store: LayerStore) -> None:
    with store.unpack(expected=DIFF_ID) as sink:
        sink.write(LAYER[:2_000_000])
    assert names(store) == helpers(store) == []


def test_an_error_of_whoever_feeds_it_leaves_nothing(store: LayerStore) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_half_way(store)
    assert names(store) == helpers(store) == []


def fail_half_way(store: LayerStore) -> None:
    with store.unpack(expected=DIFF_ID) as sink:
        sink.write(LAYER[:2_000_000])
        raise ZeroDivisionError


def test_a_killed_helper(store: LayerStore) -> None:
    with store.unpack(expected=DIFF_ID) as sink:
        sink.write(LAYER[:2_000_000])
        (helper,) = helpers(store)
        os.kill(helper, signal.SIGKILL)
        with pytest.raises(Cancelled, match="killed"):
            sink.write(LAYER[2_000_000:] * 10)
    assert names(store) == []
    unpack(store)


def test_a_killed_engine(store: LayerStore) -> None:
    """The helper ends by itself, the next start sweeps up, and the next attempt works."""
    program = (
        "import os, signal, sys; from pathlib import Path; from engine.snapshots.layers import LayerStore\n"
        "from engine.types import Digest\n"
        "with LayerStore(Path(sys.argv[1])).unpack(expected=Digest.of(b'')) as sink:\n"
        "    sink.write(sys.stdin.buffer.read()); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(store.links.parent)], input=LAYER[:2_000_000], cwd=Path(__file__).parents[2]
    )
    assert ended.returncode == -signal.SIGKILL
    eventually(lambda: not helpers(store))
    assert [name for name in names(store) if name.startswith("tmp-")]
    assert not store.has(DIFF_ID)
    store.sweep()
    assert names(store) == []
    unpack(store)


def test_sweep_keeps_layers_and_repairs_links(store: LayerStore) -> None:
    unpack(store)
    (link,) = store.short_names([DIFF_ID])
    (store.links / link).unlink()
    (store.links / "stale").symlink_to("../gone/diff")
    store.sweep()
    assert [entry.name for entry in store.links.iterdir()] == [link]
    assert (store.links / link / "a").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "disk").mkdir()
    with mounted("tmpfs", tmp_path / "disk", "tmpfs", data="size=2m,nr_inodes=100") as disk:
        yield disk


@pytest.mark.parametrize(
    "data",
    [archive(member(b"large", content=bytes(20_000_000))), archive(*[member(b"%d" % i) for i in range(200)])],
    ids=["bytes", "inodes"],
)
def test_a_full_disk(small_disk: Path, data: bytes) -> None:
    store = LayerStore(small_disk / "layers")
    with pytest.raises(StorageFull, match="no room for layer"):
        unpack(store, data)
    assert names(store) == []
    unpack(store, archive(member(b"small", content=b"x")))


def test_the_same_layer_twice_at_once(store: LayerStore) -> None:
    with store.unpack(expected=DIFF_ID) as first, store.unpack(expected=DIFF_ID) as second:
        for sink in (first, second):
            sink.write(LAYER)
        first.commit()
        link = store.short_names([DIFF_ID])
        second.commit()
    assert store.short_names([DIFF_ID]) == link
    assert names(store) == [DIFF_ID.hex]
    assert len(list(store.links.iterdir())) == 1


def test_many_layers_at_once(store: LayerStore) -> None:
    layers = [archive(member(b"%d" % i, content=os.urandom(200_000))) for i in range(8)] * 2
    failed: list[BaseException] = []

    def run(data: bytes) -> None:
        try:
            unpack(store, data)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=run, args=(data,)) for data in layers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert store.diff_ids() == {Digest.of(data) for data in layers}
    assert len(names(store)) == len(list(store.links.iterdir())) == 8


def test_the_helper_has_lost_its_power(store: LayerStore) -> None:
    with store.unpack(expected=DIFF_ID) as sink:
        sink.write(LAYER[:2_000_000])
        (helper,) = helpers(store)
        status = Path(f"/proc/{helper}/status").read_text(encoding="ascii")
        facts = dict(line.split(":\t", 1) for line in status.splitlines())
        kept = sum(1 << number for number in (0, 1, 3, 4, 27, 31))
        assert {facts[name].strip() for name in ("CapEff", "CapPrm", "CapBnd")} == {f"{kept:016x}"}
        assert facts["CapInh"].strip() == f"{0:016x}"
        assert facts["NoNewPrivs"].strip() == "1"
        assert Path(f"/proc/{helper}/root").readlink() == next(store.links.parent.glob("tmp-*")) / "diff"
        (root,) = [
            line.split(" ")
            for line in Path(f"/proc/{helper}/mountinfo").read_text(encoding="utf-8").splitlines()
            if line.split(" ")[4] == "/"
        ]
        assert {"nodev", "nosuid", "noexec"} <= set(root[5].split(","))
        for name in ("net", "mnt", "ipc"):
            assert Path(f"/proc/{helper}/ns/{name}").readlink() != Path(f"/proc/self/ns/{name}").readlink()
        descriptors = {entry.name: entry.readlink().name for entry in Path(f"/proc/{helper}/fd").iterdir()}
        assert descriptors.keys() - {"0", "1", "2"} <= {"3"}
        assert descriptors.get("3", "a") == "a", "the file that it writes, and nothing else"
        assert Path(f"/proc/{helper}/environ").read_bytes() == b"LANG=C.UTF-8\0"
