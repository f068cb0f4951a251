from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError, InvalidParameter, ManifestUnknown
from engine.registry import media
from engine.registry.media import Compression, Descriptor, Index, Manifest
from engine.registry.platforms import host_platform, native_platform, normalised, parse_platform, runnable, suits
from engine.types import Digest, Platform

DIGEST = str(Digest.of(b"x"))
CONFIG = {"mediaType": media.OCI_CONFIG, "digest": DIGEST, "size": 10}
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 20}
IMAGE: dict[str, Any] = {"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": CONFIG, "layers": [LAYER]}


def parse(document: object, content_type: str = media.OCI_MANIFEST) -> Manifest | Index:
    return media.parse_document(json.dumps(document).encode(), content_type)


def platform(text: str) -> Platform:
    os_name, architecture, *variant = text.split("/")
    return Platform(os=os_name, architecture=architecture, variant=variant[0] if variant else "")


def index_of(*platforms: str) -> Index:
    return Index(
        entries=tuple(
            Descriptor(media_type=media.OCI_MANIFEST, digest=Digest.of(text.encode()), size=1, platform=platform(text))
            for text in platforms
        )
    )


@pytest.mark.parametrize(
    "content_type", [media.OCI_MANIFEST, f"{media.OCI_MANIFEST}; charset=utf-8", "application/json", ""]
)
def test_an_image_manifest(content_type: str) -> None:
    manifest = parse(IMAGE, content_type)
    assert isinstance(manifest, Manifest)
    assert manifest.config == Descriptor(media_type=media.OCI_CONFIG, digest=Digest(DIGEST), size=10)
    assert [layer.size for layer in manifest.layers] == [20]


def test_documents_without_a_media_type_of_their_own() -> None:
    bare = {key: value for key, value in IMAGE.items() if key != "mediaType"}
    assert isinstance(parse(bare), Manifest)
    assert isinstance(parse(bare, "text/plain"), Manifest)
    assert parse({"schemaVersion": 2, "manifests": []}, "application/json") == Index(entries=())


@pytest.mark.parametrize(
    ("document", "content_type", "words"),
    [
        (IMAGE, media.OCI_INDEX, "manifest says it is"),
        ({**IMAGE, "manifests": []}, media.OCI_MANIFEST, "an image and an index at once"),
        ({"schemaVersion": 1, "fsLayers": []}, "application/json", "no longer supported"),
        (IMAGE, "application/vnd.docker.distribution.manifest.v1+prettyjws", "no longer supported"),
        ({**IMAGE, "layers": None}, media.OCI_MANIFEST, "'layers' is no list"),
        ({**IMAGE, "layers": [LAYER] * 501}, media.OCI_MANIFEST, "501 layers"),
        ({**IMAGE, "config": None}, media.OCI_MANIFEST, "config is no JSON object"),
        (
            {**IMAGE, "config": {**CONFIG, "mediaType": "application/vnd.cncf.helm.config.v1+json"}},
            "",
            "no container image",
        ),
        ({**IMAGE, "config": {**CONFIG, "size": 1 << 30}}, media.OCI_MANIFEST, "more than the"),
        ({**IMAGE, "layers": [{**LAYER, "size": -1}]}, media.OCI_MANIFEST, "size -1"),
        ({**IMAGE, "layers": [{**LAYER, "size": True}]}, media.OCI_MANIFEST, "size True"),
        ({**IMAGE, "layers": [{**LAYER, "digest": "sha256:../../etc"}]}, media.OCI_MANIFEST, "invalid digest"),
        ([], media.OCI_MANIFEST, "no JSON object"),
        ({"mediaType": "application/x"}, "application/x", "unsupported manifest media type"),
    ],
)
def test_bad_manifests_are_refused(document: object, content_type: str, words: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse(document, content_type)
    assert words in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b" " * (media.MANIFEST_LIMIT + 1)])
def test_bad_json_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidParameter):
        media.parse_document(data, media.OCI_MANIFEST)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["mediaType", "config", "layers", "manifests", "digest", "size", "platform", "schemaVersion"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(json_values, st.sampled_from([media.OCI_MANIFEST, media.OCI_INDEX, "application/json"]))
def test_any_json_is_parsed_or_refused(document: object, content_type: str) -> None:
    with contextlib.suppress(EngineError):
        parse(document, content_type)


@pytest.mark.parametrize(
    ("media_type", "compression"),
    [
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", Compression.GZIP),
        ("application/vnd.docker.image.rootfs.diff.tar", Compression.NONE),
        ("application/vnd.oci.image.layer.v1.tar+gzip", Compression.GZIP),
        ("application/vnd.oci.image.layer.v1.tar+zstd", Compression.ZSTD),
        ("application/vnd.oci.image.layer.v1.tar", Compression.NONE),
    ],
)
def test_layers(media_type: str, compression: Compression) -> None:
    layer = Descriptor(media_type=media_type, digest=Digest(DIGEST), size=1)
    assert media.layer_compression(layer) is compression


@pytest.mark.parametrize(
    ("media_type", "words"),
    [
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "foreign layer"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "foreign layer"),
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "unsupported media type"),
    ],
)
def test_layers_that_are_refused(media_type: str, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        media.layer_compression(Descriptor(media_type=media_type, digest=Digest(DIGEST), size=1))


@pytest.mark.parametrize(
    ("offered", "wanted", "chosen"),
    [
        (["linux/arm64", "linux/amd64"], "linux/amd64", "linux/amd64"),
        (["linux/386", "linux/amd64"], "linux/amd64", "linux/amd64"),
        (["linux/386"], "linux/amd64", "linux/386"),
        (["linux/amd64", "linux/amd64/v2", "linux/amd64/v3"], "linux/amd64/v2", "linux/amd64/v2"),
        (["linux/amd64/v3", "linux/amd64"], "linux/amd64", "linux/amd64"),
        (["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], "linux/arm/v6", "linux/arm/v6"),
        (["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], "linux/arm", "linux/arm/v7"),
        (["linux/arm/v5"], "linux/arm/v7", "linux/arm/v5"),
        (["linux/arm64/v8"], "linux/arm64", "linux/arm64/v8"),
        (["linux/arm64"], "linux/arm64/v8", "linux/arm64"),
        (["linux/arm/v7"], "linux/arm64", "linux/arm/v7"),
        (["linux/amd64"], "linux/x86_64", "linux/amd64"),
    ],
)
def test_the_best_platform_is_chosen(offered: list[str], wanted: str, chosen: str) -> None:
    entry = media.choose(index_of(*offered), platform(wanted))
    assert str(entry.platform) == chosen


@pytest.mark.parametrize("wanted", ["linux/riscv64", "windows/amd64", "linux/arm/v6"])
def test_no_platform_that_fits(wanted: str) -> None:
    with pytest.raises(ManifestUnknown, match=f"no matching manifest for {wanted} in the manifest list entries"):
        media.choose(index_of("linux/amd64", "linux/arm/v7", "unknown/unknown"), platform(wanted))


def test_this_host_is_the_default() -> None:
    assert host_platform().os == "linux"
    assert native_platform().architecture == host_platform().architecture
    if host_platform().architecture == "amd64":
        assert str(native_platform()) == "linux/amd64", "whatever this processor can do beyond"
    assert media.choose(index_of("plan9/mips", str(runnable(host_platform())[-1])), None)


@pytest.mark.parametrize(
    ("offered", "wanted", "answer"),
    [
        ("linux/amd64", "linux/amd64/v3", True),
        ("linux/amd64/v3", "linux/amd64", False),
        ("linux/arm", "linux/arm/v6", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm64", "linux/amd64", False),
    ],
)
def test_suits(offered: str, wanted: str, answer: bool) -> None:
    assert suits(platform(offered), platform(wanted)) is answer


def test_normalised_is_stable() -> None:
    for text in ("linux/aarch64/v8", "Linux/AMD64/v1", "linux/arm", "linux/arm/7", "linux/i386"):
        once = normalised(platform(text))
        assert normalised(once) == once


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("ARM64", "linux/arm64"),
        ("linux", f"linux/{native_platform().architecture}"),
        ("linux/nosuch", "linux/nosuch"),
    ],
)
def test_a_platform_in_words(text: str, parsed: str) -> None:
    assert str(parse_platform(text)) == parsed


@pytest.mark.parametrize("text", ["nosuch", "a/b/c/d", "linux/", "/"])
def test_what_is_no_platform(text: str) -> None:
    with pytest.raises(InvalidParameter, match="platform: "):
        parse_platform(text)
