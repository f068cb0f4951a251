"""Detach keys, encoding of logs, filters of events, the client's frames."""

from __future__ import annotations

import struct

import pytest

from engine.api.detach import DetachKeys
from engine.api.render_event import Wanted, event
from engine.api.routes.logs import encoder
from engine.client.frames import LONGEST, LogLines
from engine.errors import InvalidParameter
from engine.events import Event, Kind


def test_the_default_keys_detach() -> None:
    keys = DetachKeys()
    assert keys.feed(b"ls\n\x10\x11more") == b"ls\n"
    assert keys.found


def test_keys_may_come_apart() -> None:
    keys = DetachKeys("ctrl-a,x")
    assert keys.feed(b"\x01") == b""
    assert not keys.found
    assert keys.feed(b"x") == b""
    assert keys.found


def test_keys_that_were_none_are_typed() -> None:
    keys = DetachKeys()
    assert keys.feed(b"a\x10b\x10\x10") == b"a\x10b\x10"
    assert keys.feed(b"c") == b"\x10c"
    assert not keys.found


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-ä", "ab", "ctrl-p,", "ctrl-1"])
def test_keys_that_nobody_can_type(text: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid detach keys"):
        DetachKeys(text)


ENTRIES = [(1_795_462_025_000_000_001, 1, b"out\n"), (1_795_462_026_500_000_000, 2, b"err\n")]


def test_logs_are_framed_without_a_terminal() -> None:
    assert encoder(tty=False, timestamps=False)(ENTRIES) == b"".join(
        [struct.pack(">BxxxI", 1, 4), b"out\n", struct.pack(">BxxxI", 2, 4), b"err\n"]
    )


def test_logs_with_times_are_read_by_the_client() -> None:
    data = encoder(tty=False, timestamps=True)(ENTRIES)
    lines = LogLines(tty=False)
    found = [line for part in (data[:5], data[5:50], data[50:]) for line in lines.feed(part)]
    assert [(line.time, line.stream, line.data, line.partial) for line in found] == [
        ("2026-11-23T19:27:05.000000001Z", "stdout", b"out", False),
        ("2026-11-23T19:27:06.500000000Z", "stderr", b"err", False),
    ]


def test_logs_of_a_terminal_are_raw() -> None:
    assert encoder(tty=True, timestamps=False)(ENTRIES) == b"out\nerr\n"
    lines = LogLines(tty=True)
    found = lines.feed(encoder(tty=True, timestamps=True)(ENTRIES)[:-1])
    assert [line.data for line in found] == [b"out"]
    assert [(line.data, line.partial) for line in lines.end()] == [(b"err", True)]


def test_a_line_of_a_terminal_has_one_time() -> None:
    """A prompt and what is typed after it, and the parts of a long line: without frames a second time would be text."""
    first, second = ENTRIES
    prompt = (first[0], 1, b"name: ")
    answer = (second[0], 1, b"ada\n")
    data = b"".join(map(encoder(tty=True, timestamps=True), ([prompt], [answer, first])))
    assert data == b"2026-11-23T19:27:05.000000001Z name: ada\n2026-11-23T19:27:05.000000001Z out\n"
    assert encoder(tty=True, timestamps=False, details="a=b")([prompt, answer]) == b"a=b name: ada\n"
    framed = encoder(tty=False, timestamps=True, details="a=b")([prompt, answer])
    assert framed.count(b"a=b") == framed.count(b"2026-11-23T19:27:0") == 2


def test_a_line_of_a_terminal_without_an_end_is_not_held_for_ever() -> None:
    lines = LogLines(tty=True)
    found = lines.feed(b"2026-11-23T19:27:05.000000001Z " + b"x" * LONGEST)
    assert [(line.time[-4:], line.data, line.partial) for line in found] == [("001Z", b"x" * LONGEST, True)]
    assert [(line.time[-4:], line.data, line.partial) for line in lines.feed(b"yz\n2")] == [("001Z", b"yz", False)]


def happened(kind: Kind = Kind.CONTAINER, action: str = "start", **attributes: str) -> Event:
    return Event(kind=kind, action=action, actor="a" * 64, attributes=attributes, time=1_500_000_000_123_456_789)


def test_an_event_has_old_and_new_fields() -> None:
    assert event(happened(image="busybox", name="web")) == {
        "status": "start",
        "id": "a" * 64,
        "from": "busybox",
        "Type": "container",
        "Action": "start",
        "Actor": {"ID": "a" * 64, "Attributes": {"image": "busybox", "name": "web"}},
        "scope": "local",
        "time": 1_500_000_000,
        "timeNano": 1_500_000_000_123_456_789,
    }
    assert "status" not in event(happened(Kind.NETWORK))


@pytest.mark.parametrize(
    ("filters", "admitted"),
    [
        ({}, True),
        ({"type": ("container",)}, True),
        ({"type": ("image", "network")}, False),
        ({"event": ("start", "die")}, True),
        ({"event": ("die",)}, False),
        ({"container": ("web",)}, True),
        ({"container": ("aaaa",)}, True),
        ({"container": ("other",)}, False),
        ({"image": ("busybox",)}, True),
        ({"label": ("k=v",)}, True),
        ({"label": ("k",)}, True),
        ({"label": ("k=w",)}, False),
        ({"network": ("web",)}, False),
    ],
)
def test_filters_of_events(filters: dict[str, tuple[str, ...]], admitted: bool) -> None:
    assert Wanted(filters)(happened(image="busybox:1", name="web", k="v")) is admitted


def test_an_exec_is_found_by_its_first_word() -> None:
    assert Wanted({"event": ("exec_create",)})(happened(action="exec_create: sh -c true"))


def test_an_unknown_filter_of_events() -> None:
    with pytest.raises(InvalidParameter, match="invalid filter 'nosuch'"):
        Wanted({"nosuch": ("x",)})
