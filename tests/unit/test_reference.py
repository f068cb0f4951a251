from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidParameter
from engine.registry.reference import Reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("debian", "docker.io/library/debian:latest", "debian:latest"),
        ("debian:12", "docker.io/library/debian:12", "debian:12"),
        ("docker.io/debian", "docker.io/library/debian:latest", "debian:latest"),
        ("docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"),
        ("index.docker.io/library/debian:12", "docker.io/library/debian:12", "debian:12"),
        ("team/app", "docker.io/team/app:latest", "team/app:latest"),
        ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("127.0.0.1:5000/app", "127.0.0.1:5000/app:latest", "127.0.0.1:5000/app:latest"),
        ("host:5000/x/y:1.2-rc_3", "host:5000/x/y:1.2-rc_3", "host:5000/x/y:1.2-rc_3"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("Registry/app", "Registry/app:latest", "Registry/app:latest"),
        ("example.com/app", "example.com/app:latest", "example.com/app:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        ("a__b/c--d.e_f", "docker.io/a__b/c--d.e_f:latest", "a__b/c--d.e_f:latest"),
        (f"debian@{DIGEST}", f"docker.io/library/debian@{DIGEST}", f"debian@{DIGEST}"),
        (f"debian:12@{DIGEST}", f"docker.io/library/debian:12@{DIGEST}", f"debian:12@{DIGEST}"),
        ("x:" + "t" * 128, "docker.io/library/x:" + "t" * 128, "x:" + "t" * 128),
        ("host:5000", "docker.io/library/host:5000", "host:5000"),
        ("a" * 63, "docker.io/library/" + "a" * 63 + ":latest", "a" * 63 + ":latest"),
    ],
)
def test_means_what_docker_means(text: str, canonical: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert (str(reference), reference.familiar) == (canonical, familiar)
    assert Reference.parse(canonical) == reference
    assert Reference.parse(familiar) == reference


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid reference format"),
        (" ", "invalid reference format"),
        ("debian ", "invalid reference format"),
        ("debian\n", "invalid reference format"),
        (":12", "invalid reference format"),
        ("debian:", "invalid reference format"),
        ("debian:-x", "invalid reference format"),
        ("debian:" + "t" * 129, "invalid reference format"),
        ("debian@", "invalid reference format"),
        ("debian@sha256:abc", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("/a", "invalid reference format"),
        ("a/", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("a..b", "invalid reference format"),
        ("under_score.example/app", "invalid reference format"),
        ("https://example.com/app", "invalid reference format"),
        ("host:port/app", "invalid reference format"),
        ("\u00c4", "must be lowercase"),
        ("\u00e4", "invalid reference format"),
        ("debian:\u0661", "invalid reference format"),
        (
            "Debian",
            "invalid reference format: repository name (library/Debian) must be lowercase",
        ),
        ("team/App:1", "invalid reference format: repository name (team/App) must be lowercase"),
        ("h:1/" + "a" * 256, "repository name must not be more than 255 characters"),
        ("a" * 100_000, "invalid reference format"),
        ("a" * 64, f"invalid repository name ({'a' * 64}), cannot specify 64-byte hexadecimal strings"),
        ("x@sha256:" + "a" * 63, "invalid checksum digest length"),
        ("x@sha512:" + "a" * 128, "unsupported digest algorithm"),
        ("x@sha256:" + "A" * 64, "invalid digest"),
    ],
)
def test_refuses_in_dockers_words(text: str, words: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        Reference.parse(text)
    assert words in str(caught.value)


def test_a_digest_alone_leaves_no_tag() -> None:
    reference = Reference.parse(f"h:1/x@{DIGEST}")
    assert (reference.domain, reference.path, reference.tag, reference.digest) == ("h:1", "x", "", DIGEST)
    assert reference.tag_or_digest == DIGEST
    assert Reference.parse("x:1").tag_or_digest == "1"


def test_references_sort_whatever_they_hold() -> None:
    texts = ["b", f"a@{DIGEST}", "a:2", "a:1"]
    assert [each.familiar for each in sorted(map(Reference.parse, texts))] == ["a:1", "a:2", f"a@{DIGEST}", "b:latest"]


@given(st.text(max_size=80) | st.from_regex(r"[a-zA-Z0-9._:/@\[\]-]{0,80}"))
def test_any_text_is_parsed_or_refused_and_what_is_parsed_survives_a_round_trip(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidParameter:
        return
    assert Reference.parse(str(reference)) == reference
    assert reference.familiar.isascii()
