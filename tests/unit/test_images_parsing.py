"""What comes from a registry is parsed as a stranger's: configs, compressed streams, filters."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError, InvalidParameter
from engine.images import decompress
from engine.images.chains import chain_ids, gone_chains
from engine.images.config import parse_config
from engine.images.decompress import STEP, decompressed
from engine.images.filters import filtered
from engine.images.model import Image, ImageConfig, LayerPhase, LayerProgress, Message
from engine.images.progress import ProgressBoard
from engine.registry.media import Compression
from engine.snapshots.helper import UnpackLimits
from engine.types import Digest, Platform

DATA = os.urandom(3 * STEP) + bytes(2 * STEP)
ROOTFS = {"type": "layers", "diff_ids": [str(Digest.of(b"1")), str(Digest.of(b"2"))]}


def config_of(**fields: Any) -> bytes:
    return json.dumps({"os": "linux", "architecture": "arm64", "variant": "v8", "rootfs": ROOTFS, **fields}).encode()


def test_a_config() -> None:
    parsed = parse_config(
        config_of(
            created="2026-01-02T03:04:05.000000006+01:00",
            author="ada",
            docker_version="20.10.1",
            config={
                "User": "1:1",
                "ExposedPorts": {"80/tcp": {}},
                "Env": ["A=1"],
                "Entrypoint": ["/init"],
                "Cmd": None,
                "Volumes": {"/data": {}},
                "WorkingDir": "/srv",
                "Labels": {"a": "b"},
                "StopSignal": "SIGINT",
                "Unknown": 5,
            },
            history=[{"created_by": "ADD x", "empty_layer": True}, {"created": "not a time"}],
        )
    )
    assert parsed.platform == Platform(os="linux", architecture="arm64", variant="v8")
    assert parsed.config == ImageConfig(
        user="1:1",
        exposed_ports=("80/tcp",),
        env=("A=1",),
        entrypoint=("/init",),
        cmd=None,
        volumes=("/data",),
        working_dir="/srv",
        labels={"a": "b"},
        stop_signal="SIGINT",
    )
    assert parsed.created is not None
    assert parsed.created % 1_000_000_000 == 6
    assert parsed.diff_ids == (Digest.of(b"1"), Digest.of(b"2"))
    assert [entry.empty_layer for entry in parsed.history] == [True, False]


def test_a_config_with_nulls_and_old_shapes() -> None:
    nothing = dict.fromkeys(("Env", "Cmd", "Labels", "Volumes", "ExposedPorts", "Entrypoint", "User"))
    parsed = parse_config(config_of(config=nothing, history=None, author=None))
    assert parsed.config == ImageConfig()
    assert parse_config(config_of(config=None)).config == ImageConfig()
    assert parse_config(config_of(config={"Cmd": "sh", "Entrypoint": []})).config.cmd == ("sh",)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b"{}",
        config_of(rootfs={"type": "windows"}),
        config_of(rootfs={"type": "layers", "diff_ids": ["sha256:../../x"]}),
        config_of(config={"Env": "A=1"}),
        config_of(config={"Env": [1]}),
        config_of(config={"Labels": {"a": 1}}),
        config_of(os=5),
        config_of(history=[5]),
    ],
)
def test_bad_configs_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidParameter):
        parse_config(data)


PACKED = {
    Compression.NONE: DATA,
    Compression.GZIP: gzip.compress(DATA, 1),
    Compression.ZSTD: zstandard.compress(DATA),
    Compression.BZIP2: bz2.compress(DATA, 1),
    Compression.XZ: lzma.compress(DATA, preset=0),
}


class Dribble(io.BytesIO):
    """A source that gives a byte at a time at first, as a network may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(1 if self.tell() < 10 else size)


@pytest.mark.parametrize("compression", list(Compression))
def test_streams_that_begin_with_single_bytes(compression: Compression) -> None:
    assert b"".join(decompressed(Dribble(PACKED[compression]), compression)) == DATA


@pytest.mark.parametrize("compression", [Compression.BZIP2, Compression.XZ])
def test_damaged_and_cut_streams_of_uploads(compression: Compression) -> None:
    packed = PACKED[compression]
    for wrong in (packed[: len(packed) // 2], packed[:40] + b"\xff" * 40 + packed[80:]):
        with pytest.raises(InvalidParameter, match=r"damaged|too early"):
            list(decompressed(io.BytesIO(wrong), Compression.NONE))
    assert b"".join(decompressed(io.BytesIO(packed + packed + bytes(1000)), Compression.NONE)) == DATA + DATA


@pytest.mark.parametrize("compression", list(Compression))
def test_streams(compression: Compression) -> None:
    chunks = list(decompressed(io.BytesIO(PACKED[compression]), compression))
    assert b"".join(chunks) == DATA
    assert max(map(len, chunks)) <= STEP


def test_several_members_and_padding() -> None:
    one, two = gzip.compress(b"one"), gzip.compress(b"two")
    assert b"".join(decompressed(io.BytesIO(one + two + bytes(2000)), Compression.GZIP)) == b"onetwo"
    frames = zstandard.compress(b"one") + zstandard.compress(b"two")
    assert b"".join(decompressed(io.BytesIO(frames), Compression.ZSTD)) == b"onetwo"


def _blocks() -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    return b"".join([*(packer.compress(b"a" * 50) + packer.flush(block) for _ in range(3)), packer.flush()])


ZSTD = {
    "nothing": zstandard.compress(b""),
    "compressed": zstandard.compress(b"hello " * 40),
    "as it is": zstandard.compress(os.urandom(700)),
    "one byte again and again": zstandard.compress(bytes(700)),
    "a checksum": zstandard.ZstdCompressor(write_checksum=True).compress(os.urandom(300)),
    "no size": zstandard.ZstdCompressor(write_content_size=False).compress(b"hello " * 40),
    "several blocks": _blocks(),
}
"""Frames of all kinds (RFC 8878, 3.1.1)."""
SKIPPED = b"\x50\x2a\x4d\x18\x05\0\0\0zstd!"


@pytest.mark.parametrize("kind", list(ZSTD))
def test_a_zstd_stream_ends_with_a_frame(kind: str) -> None:
    """Cut anywhere else it is refused, also in the only block of a frame, before which nothing comes out."""
    frame = ZSTD[kind]
    content = zstandard.ZstdDecompressor().decompressobj().decompress(frame)
    packed = frame + SKIPPED + frame
    ends = {len(frame): content, len(frame + SKIPPED): content, len(packed): content * 2}
    for size in range(4, len(packed) + 1):
        for source in (io.BytesIO(packed[:size]), Drop(packed[:size])):
            if size in ends:
                assert b"".join(decompressed(source, Compression.NONE)) == ends[size]
            else:
                with pytest.raises(InvalidParameter, match="ends too early"):
                    list(decompressed(source, Compression.NONE))


class Drop(io.BytesIO):
    """A source that gives three bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(3)


def test_the_first_bytes_decide() -> None:
    for actual, packed in PACKED.items():
        if actual is not Compression.NONE:
            assert b"".join(decompressed(io.BytesIO(packed), Compression.NONE)) == DATA
    assert b"".join(decompressed(io.BytesIO(PACKED[Compression.ZSTD]), Compression.GZIP)) == DATA
    with pytest.raises(InvalidParameter, match="is not gzip, as its media type says"):
        list(decompressed(io.BytesIO(DATA), Compression.GZIP))


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (PACKED[Compression.GZIP][:-4], "ends too early"),
        (PACKED[Compression.GZIP][:1000], "ends too early"),
        (PACKED[Compression.GZIP][:-8] + bytes(8), "damaged"),
        (PACKED[Compression.GZIP] + b"rest", "damaged|ends too early"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 100, "damaged"),
        (PACKED[Compression.ZSTD] + b"rest", "damaged"),
    ],
)
def test_damaged_streams(packed: bytes, words: str) -> None:
    compression = Compression.GZIP if packed.startswith(b"\x1f") else Compression.ZSTD
    with pytest.raises(InvalidParameter, match=words):
        list(decompressed(io.BytesIO(packed), compression))


def test_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zstandard.compress(bytes(64 * STEP))
    monkeypatch.setattr(decompress, "_HEADERS", 0)
    with pytest.raises(InvalidParameter, match="more than the 10485760 bytes allowed"):
        list(decompressed(io.BytesIO(bomb), Compression.ZSTD, limits=UnpackLimits(bytes=10 * STEP)))
    monkeypatch.setattr(decompress, "_RATIO_FREE", STEP)
    with pytest.raises(InvalidParameter, match="more than 1500 times its size"):
        list(decompressed(io.BytesIO(bomb), Compression.ZSTD))
    assert list(decompressed(io.BytesIO(bomb), Compression.ZSTD, limits=UnpackLimits(ratio=100_000)))


@given(
    st.binary(max_size=300),
    st.sampled_from(list(Compression)),
    st.sampled_from([b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"]),
)
def test_any_bytes_are_unpacked_or_refused(data: bytes, compression: Compression, start: bytes) -> None:
    try:
        total = sum(map(len, decompressed(io.BytesIO(start + data), compression)))
    except EngineError:
        return
    assert total >= 0


def test_chain_ids() -> None:
    # From the OCI image-spec: ChainID(A, B) = digest("ChainID(A) B").
    one, two, three = (Digest.of(name) for name in (b"1", b"2", b"3"))
    assert chain_ids([]) == []
    assert chain_ids([one, two]) == [one, Digest.of(f"{one} {two}".encode())]
    assert gone_chains([[one, two]], [[one, three]]) == [chain_ids([one, two])[1]]
    assert gone_chains([[one, two]], []) == chain_ids([one, two])[::-1]


def image_of(number: int, *, tags: tuple[str, ...] = (), digests: tuple[str, ...] = (), **labels: str) -> Image:
    return Image(
        id=Digest.of(str(number).encode()),
        platform=Platform(os="linux", architecture="amd64"),
        config=ImageConfig(labels=labels),
        created=number,
        size=0,
        diff_ids=(),
        tags=tags,
        digests=digests,
    )


IMAGES = [
    image_of(1, tags=("debian:12", "team/app:1"), digests=("debian@sha256:1",), a="b"),
    image_of(2, digests=("debian@sha256:2",)),
    image_of(3),
]


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({}, [1, 2, 3]),
        ({"dangling": ["true"]}, [2, 3]),
        ({"dangling": ["0"]}, [1, 2]),
        ({"label": ["a"]}, [1]),
        ({"label": ["a=b"]}, [1]),
        ({"label": ["a=c"]}, []),
        ({"reference": ["debian"]}, [1, 2]),
        ({"reference": ["debian:1?"]}, [1]),
        ({"reference": ["*"]}, [1, 2]),
        ({"reference": ["*/app:[0-9]"]}, [1]),
        ({"before": ["2"]}, [1]),
        ({"since": ["2"]}, [3]),
    ],
)
def test_filters(filters: dict[str, list[str]], numbers: list[int]) -> None:
    found = filtered(IMAGES, filters, find=lambda text: image_of(int(text)))
    assert [image.created for image in found] == numbers


def test_a_reference_filter_hides_the_other_names() -> None:
    assert filtered(IMAGES, {"reference": ["team/*"]}, find=lambda _: IMAGES[0])[0].tags == ("team/app:1",)


@pytest.mark.parametrize("filters", [{"nothing": ["x"]}, {"dangling": ["perhaps"]}, {"reference": ["[z-a]"]}])
def test_bad_filters(filters: dict[str, list[str]]) -> None:
    with pytest.raises(InvalidParameter, match="invalid filter"):
        filtered(IMAGES, filters, find=lambda _: IMAGES[0])


def test_progress_is_in_order_and_not_too_much() -> None:
    seen: list[LayerProgress | Message] = []
    board = ProgressBoard(seen.append)
    digest = Digest.of(b"layer")
    board.message("Pulling from x", "latest")
    board.layer(digest, LayerPhase.WAITING)
    for number in range(1000):
        board.layer(digest, LayerPhase.DOWNLOADING, number, 1000)
        board.layer(digest, LayerPhase.EXTRACTING, number, 1000)
    for phase in (LayerPhase.VERIFYING, LayerPhase.DOWNLOADED, LayerPhase.EXTRACTING, LayerPhase.DOWNLOADING):
        board.layer(digest, phase)
    board.layer(digest, LayerPhase.COMPLETE)
    assert seen[0] == Message(text="Pulling from x", id="latest")
    phases = [each.phase.value for each in seen if isinstance(each, LayerProgress)]
    assert len(phases) < 30
    assert list(dict.fromkeys(phases)) == [
        "Pulling fs layer",
        "Downloading",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Pull complete",
    ]
