"""Lines of logs that come in pieces: whole text in the page, whole lines in the file."""

from __future__ import annotations

from webui.containers.log_rows import Bytes, Rows
from webui.gateway import LogLine

LONG = "naïve 日本 ".encode() * 3
CUT = 8
"""Within a character."""
LINES = (
    LogLine("1", "stdout", LONG[:CUT], partial=True),
    LogLine("2", "stderr", b"\xffoops"),
    LogLine("3", "stdout", LONG[CUT:]),
    LogLine("4", "stdout", b"next"),
)


def test_a_character_that_is_cut_is_put_together() -> None:
    rows = Rows()
    found = [row for line in LINES for row in rows([line])]
    assert [(row[0], row[1], row[3]) for row in found] == [("1", 1, 1), ("2", 2, 0), ("3", 1, 0), ("4", 1, 0)]
    assert found[0][2] + found[2][2] == LONG.decode()
    assert (found[1][2], found[3][2]) == ("\N{REPLACEMENT CHARACTER}oops", "next")


def test_a_character_without_its_rest_is_replaced() -> None:
    rows = Rows()
    first, second = rows([LogLine("1", "stdout", b"a\xe6", partial=True), LogLine("2", "stdout", b"b")])
    assert (first[2], second[2]) == ("a", "\N{REPLACEMENT CHARACTER}b")


def test_a_file_has_one_time_a_line() -> None:
    assert Bytes(timestamps=True)([LINES[0], LINES[2], LINES[3]]) == b"1 " + LONG + b"\n4 next\n"
    assert Bytes(timestamps=False)(LINES[2:]) == LONG[CUT:] + b"\nnext\n"
