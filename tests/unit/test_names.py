"""Names of containers, and the signals and states that clients name."""

from __future__ import annotations

import re
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.containers import names
from engine.containers.names import checked, generated
from engine.containers.signals import signal_name, signal_number
from engine.errors import InvalidParameter


def test_generated_names_are_valid_and_differ() -> None:
    taken: set[str] = set()
    for _ in range(3000):
        name = generated(taken)
        assert checked(name) == name
        assert re.fullmatch(r"[a-z]+_[a-z]+\d*", name)
        taken.add(name)
    assert len(taken) == 3000


def test_a_name_is_found_when_every_pair_is_taken() -> None:
    class Pairs:
        def __contains__(self, name: object) -> bool:
            return re.fullmatch(r"[a-z]+_[a-z]+", str(name)) is not None

    assert re.fullmatch(r"[a-z]+_[a-z]+\d+", generated(Pairs()))


def test_the_word_lists() -> None:
    adjectives, surnames = names._ADJECTIVES, names._SURNAMES
    assert len(set(adjectives)) == len(adjectives) >= 80
    assert len(set(surnames)) == len(surnames) >= 150


@pytest.mark.parametrize("name", ["ab", "/ab", "A.b-c_9", "0x", "x" * 128])
def test_valid_names(name: str) -> None:
    assert checked(name) == name.removeprefix("/")


@pytest.mark.parametrize("name", ["", "a", "/", "_ab", "-ab", ".ab", "a b", "a/b", "//ab", "é1", "ab\n", "x" * 129])
def test_invalid_names(name: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid container name"):
        checked(name)


def test_dockers_words() -> None:
    with pytest.raises(
        InvalidParameter, match=r"Invalid container name \(b/c\), only \[a-zA-Z0-9\]\[a-zA-Z0-9_.-\] are"
    ):
        checked("b/c")


@pytest.mark.parametrize(
    ("text", "number"),
    [("9", 9), ("KILL", 9), ("SIGKILL", 9), ("sigusr1", 10), ("RTMIN", 34), ("SIGRTMIN+3", 37), ("RTMAX-1", 63)],
)
def test_signals(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "0", "65", "99999999999", "-9", "SIG", "_DFL", "SIG_IGN", "RTMIN+99", "9.0", "²", "00091"]
)
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid signal"):
        signal_number(text)


@given(st.text(max_size=20))
def test_any_text_is_a_signal_or_an_error(text: str) -> None:
    try:
        number = signal_number(text)
    except InvalidParameter:
        return
    assert 0 < number <= signal.SIGRTMAX
    assert signal_name(number)
