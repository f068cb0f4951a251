"""`.dockerignore`: cases, and against an oracle that tries every way to match."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.build.dockerfile.ignore import ROOT, IgnoreMatcher, ignore_files, read_patterns
from engine.errors import InvalidParameter


@pytest.mark.parametrize(
    ("pattern", "ignored", "kept"),
    [
        ("a", ["a", "a/b", "a/b/c"], ["b", "ab", "b/a"]),
        ("a/b", ["a/b", "a/b/c"], ["a", "b", "x/a/b"]),
        ("/a", ["a"], ["x/a"]),
        ("a/", ["a", "a/b"], []),
        ("./a//b/../c", ["a/c"], ["a/b"]),
        ("*", ["a", "a/b", ".x"], []),
        ("*.txt", ["a.txt", ".txt", "a.txt/b"], ["a.txtx", "d/a.txt"]),
        ("*/x", ["a/x", "a/x/y"], ["x", "a/b/x"]),
        ("a*c", ["ac", "abc"], ["a/c"]),
        ("a?c", ["abc", "a☺c"], ["ac", "a/c"]),
        ("**", ["a", "a/b"], []),
        ("**/a", ["a", "x/a", "x/y/a", "x/a/z"], ["xa", "b"]),
        ("**a", ["a", "xa", "x/ya"], ["b"]),
        ("**/*.o", ["a.o", "x/y/a.o"], ["a.oo"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab"]),
        ("a**", ["a", "ab", "a/b"], ["b"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb"]),
        ("a**/b", ["ab", "a/b", "ax/b", "a/x/y/b"], ["a/xb"]),
        ("**/a/**/b*", ["a/b", "x/a/y/bc", "a/b/c"], ["a", "b"]),
        ("**/x/**", ["x/a", "d/x/a/b"], ["x"]),
        ("[a-c]x", ["ax", "bx"], ["dx", "x"]),
        ("[^a-c]x", ["dx"], ["ax"]),
        (r"[\]\-]", ["]", "-"], ["a"]),
        (r"a\*", ["a*"], ["ab"]),
        (r"\!a", ["!a"], ["a"]),
        ("a.b+(c)|{d}$", ["a.b+(c)|{d}$"], ["axb+(c)|{d}$"]),
        ("a]", ["a]"], ["a"]),
        ("ünï*", ["ünïcode"], ["unicode"]),
        ("node_modules", ["node_modules/x/y"], ["app/node_modules"]),
    ],
)
def test_patterns(pattern: str, ignored: list[str], kept: list[str]) -> None:
    matcher = IgnoreMatcher(read_patterns(pattern.encode()))
    assert [path for path in ignored if not matcher.ignores(path)] == []
    assert [path for path in kept if matcher.ignores(path)] == []


@pytest.mark.parametrize(
    ("patterns", "path", "ignored"),
    [
        (["docs", "!docs/README.md"], "docs/README.md", False),
        (["docs", "!docs/README.md"], "docs/other", True),
        (["!a.go", "*.go"], "a.go", True),
        (["**", "!keep"], "keep/deep/file", False),
        (["**", "!keep", "keep/deep"], "keep/deep/file", True),
        (["a", "!a/b", "a"], "a/b", True),
        (["*", "!*.md", "secret.md"], "secret.md", True),
        (["*"], ".", False),
        (["*"], "/", False),
        ([], "a", False),
    ],
)
def test_the_last_that_fits_decides(patterns: list[str], path: str, ignored: bool) -> None:
    assert IgnoreMatcher(patterns).ignores(path) is ignored


def test_reading() -> None:
    assert read_patterns(
        b"\xef\xbb\xbfa\r\n\n# no\n # yes\n/b/\n  c  \n! /d/e\n!\n#!x\n\xff\n/\n"
    ) == ("a", "# yes", "b", "c", "!d/e", "!", "\udcff", "/")  # fmt: skip
    assert ignore_files("docker/web.Dockerfile") == ("docker/web.Dockerfile.dockerignore", ".dockerignore")


@pytest.mark.parametrize("pattern", ["!", "[", "[]", "[]a]", "[-a]", "[a-]", "a[", "a[b", "a\\", "[^]", "[z-a]", "[a"])
def test_what_no_pattern_is(pattern: str) -> None:
    with pytest.raises(InvalidParameter):
        IgnoreMatcher([pattern])


def test_limits() -> None:
    with pytest.raises(InvalidParameter, match="more than 10000"):
        IgnoreMatcher(["a"] * 10_001)
    with pytest.raises(InvalidParameter, match="more than 4096"):
        IgnoreMatcher(["a" * 5000])
    with pytest.raises(InvalidParameter, match="more than 1048576"):
        read_patterns(b"a" * (1 << 20 | 1))


@pytest.mark.parametrize("pattern", ["*a" * 30 + "*b", "**/a" * 30 + "/b", "a**" * 30 + "b", "[^b]*" * 30 + "b"])
def test_many_ways_to_match_take_no_longer(pattern: str) -> None:
    matcher = IgnoreMatcher([pattern])
    assert not matcher.ignores("a" * 255)
    assert not matcher.ignores("/".join("a" * 60))


def _oracle(pattern: str, path: str) -> bool:
    """One pattern and one path, by a regular expression in the plainest translation."""
    if re.fullmatch(r"\*\*[^*?\[]*", pattern) and pattern not in ("**", "**/"):
        return path.endswith(pattern[2:]) or (pattern[2] == "/" and path == pattern[3:])
    expression = re.sub(
        r"\*\*/?$|\*\*/?|\*|\?|\[[^]]*\]|.",
        lambda sign: (
            ".*" if re.fullmatch(r"\*\*/?", sign[0]) and sign.end() == len(pattern)
            else "(.*/)?" if sign[0].startswith("**")
            else "[^/]*" if sign[0] == "*"
            else "[^/]" if sign[0] == "?"
            else sign[0] if sign[0].startswith("[")
            else re.escape(sign[0])
        ),
        pattern,
    )  # fmt: skip
    return re.fullmatch(expression, path) is not None


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


_PATTERN = st.lists(st.sampled_from(["a", "b", "*", "**", "/", "?", "[ab]", "[^a]", "."]), min_size=1, max_size=6).map(
    "".join
)
_NAME = st.text("ab.", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
_PATH = st.lists(_NAME, min_size=1, max_size=4).map("/".join)


@given(st.lists(st.tuples(st.booleans(), _PATTERN), max_size=4), _PATH)
def test_against_the_oracle(patterns: list[tuple[bool, str]], path: str) -> None:
    lines = "\n".join("!" * exception + pattern for exception, pattern in patterns)
    texts = read_patterns(lines.encode())
    matcher = IgnoreMatcher(texts)
    expected = False
    for text in texts:
        if any(_oracle(text.removeprefix("!"), parent) for parent in _parents(path)):
            expected = not text.startswith("!")
    assert matcher.ignores(path) is expected
    verdict = ROOT
    for parent in _parents(path):
        verdict = matcher.verdict(parent, verdict)
    assert verdict.ignored is expected
