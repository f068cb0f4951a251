"""Dockerfiles that nobody means well with: never another exception, never more time than their size is worth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.build.dockerfile.errors import DockerfileError
from engine.build.dockerfile.parser import parse
from engine.build.dockerfile.source import MAX_FILE, MAX_HEREDOC, MAX_INSTRUCTIONS
from engine.build.lint.linter import lint
from engine.build.lint.notes import MAX_FINDINGS

_WORDS = """
FROM RUN COPY ADD ENV ARG LABEL EXPOSE CMD ENTRYPOINT SHELL USER WORKDIR VOLUME STOPSIGNAL HEALTHCHECK ONBUILD
MAINTAINER NONE AS as scratch a b a=b $a ${a:-b} ${ $ \\ \\\\ ' " [ ] ["a"] [1] { } , -- --mount=type=cache,target=/a
--mount=type=$a --from=a --chown=1 --interval=1s --platform=$b <<EOF <<-EOF <<'E' EOF # #check=skip=all #escape=`
80 80/udp 1-9 80, 8:80 * ** / . é
"""
_PIECES = st.sampled_from(_WORDS.split()) | st.sampled_from(
    [" ", "\n", "\r\n", "\t", "  ", "\n\n", "\\\n", "\ufffd", "\0", "\x1c", "\x85", "\u2028"]
)


@given(st.lists(_PIECES, max_size=40).map("".join))
def test_any_text_is_a_dockerfile_or_an_error(text: str) -> None:
    report = lint(f"FROM scratch\n{text}".encode("utf-8", "surrogatepass"))
    if report.error is not None:
        assert report.error.place.line <= max(1, text.count("\n") + 2)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_dockerfile_or_an_error(data: bytes) -> None:
    lint(data)
    lint(b"FROM a\nRUN <<E\n" + data)


@pytest.mark.parametrize(
    ("before", "unit", "after"),
    [
        ("FROM a\n", "RUN a\n", ""),
        ("FROM a\n", "\n", ""),
        ("FROM a\n", "#\n", ""),
        ("FROM a\nRUN ", "a" * 60_000 + "\\\n", ""),
        ("FROM a\nRUN a", "\\\n", ""),
        ("FROM a\nRUN a", "\\\n\n", ""),
        ("FROM a\nRUN a \\\n", "#\n", ""),
        ("FROM a\nENV ", "a=b \\\n", ""),
        ("FROM a\nLABEL b=", "$a\\\n", ""),
        ("FROM a\nLABEL b=", "${a:-\\\n", ""),
        ("FROM a\nLABEL b=", "'\\\n", ""),
        ("FROM a\nLABEL b=", '"\\\n', ""),
        ("FROM a\nCMD ", "[\\\n", ""),
        ("FROM a\nCMD ", '["a",\\\n', ""),
        ("FROM a\nCMD [", '"a",\\\n', '"b"]'),
        ("FROM a\nRUN ", "--mount=target=/a \\\n", ""),
        ("FROM a\nCOPY ", "--exclude=a \\\n", "b c"),
        ("FROM a\nCOPY ", "a \\\n", ""),
        ("FROM a\nCOPY ", "<<a \\\n", ""),
        ("FROM a\nEXPOSE ", "80 \\\n", ""),
        ("FROM a\nEXPOSE ", "1-65535 \\\n", ""),
        ("FROM a\n", "ENV a=$b c=$d\n", ""),
        ("FROM a\n", "ARG a\nFROM b\n", ""),
        ("", "FROM a AS b\n", ""),
        ("FROM a\n", "ONBUILD ", ""),
        ("FROM a\nRUN <<E\n", "a\n", "E"),
        ("# escape=`\nFROM a\nRUN ", "`\n", ""),
    ],
)
def test_much_of_one_thing(before: str, unit: str, after: str) -> None:
    count = (MAX_FILE // 16 - len(before) - len(after)) // len(unit)
    report = lint((before + unit * count + after).encode())
    assert len(report.findings) <= MAX_FINDINGS


@pytest.mark.parametrize(
    ("before", "unit"), [("FROM a\nRUN a", "\\\n"), ("FROM a\nRUN ", "b" * 999 + "\\\n"), ("FROM a\nCMD ", "[\\\n")]
)
def test_a_whole_mebibyte(before: str, unit: str) -> None:
    assert lint((before + unit * ((MAX_FILE - len(before)) // len(unit))).encode()).error is None


def test_thousands_of_names_that_are_nearly_right() -> None:
    each_alone = "".join(f"ENV a{number}=$b{number}\n" for number in range(9000))
    all_at_once = "".join(f"a{number}=$b{number} \\\n" for number in range(20_000))
    assert len(lint(f"FROM scratch\n{each_alone}".encode()).findings) == MAX_FINDINGS
    assert len(lint(f"FROM scratch\nENV {all_at_once}".encode()).findings) == MAX_FINDINGS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"FROM a\n" + b" " * MAX_FILE, "line 1: the Dockerfile has 1048583 bytes, more than 1048576"),
        (b"FROM a\n" + b"RUN a\n" * MAX_INSTRUCTIONS, f"line {MAX_INSTRUCTIONS + 1}: more than 10000 instructions"),
        (
            b"FROM a\nCOPY <<E /b\n" + b"a" * 1000 + (b"\n" + b"a" * 1000) * (MAX_HEREDOC // 1000),
            "the heredoc E has more",
        ),
        (b"FROM a\nEXPOSE" + b" 1-65535" * 4, "line 2: EXPOSE names more than 196608 ports"),
        (b"FROM a\nRUN " + b"a" * 70_000, "line 2: dockerfile line greater than max allowed size of 65535"),
    ],
)
def test_limits(data: bytes, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        parse(data)
