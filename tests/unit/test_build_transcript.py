"""The classic builder's stream: one step after the other, whatever runs at once."""

from __future__ import annotations

import threading
from typing import Any

from engine.api.build_stream import BuildStream
from engine.api.build_transcript import Transcript
from engine.build.errors import CommandFailed
from engine.build.progress import Built, Cached, Done, Event, Failed, Missed, Output, Planned, Started, Step, Stream
from engine.types import Digest

IMAGE = Digest.of(b"image")
SHORT = f" ---> {IMAGE.short}\n"
TEXTS = ("FROM a", "RUN one", "FROM b", "RUN two")


def plan() -> Planned:
    return Planned(
        steps=tuple(
            Step(number=n, stage=(n - 1) // 2, title="", text=text, instruction=text[:4].strip(), line=n, end_line=n)
            for n, text in enumerate(TEXTS, 1)
        )
    )


def out(step: int, text: str | bytes, stream: Stream = Stream.STDOUT) -> Output:
    return Output(step=step, stream=stream, data=text.encode() if isinstance(text, str) else text)


def told(*events: Event, quiet: bool = False) -> str:
    lines: list[dict[str, Any]] = []
    transcript = Transcript(lines.append, check=lambda: None, quiet=quiet)
    for event in (plan(), *events):
        transcript.tell(event)
    return "".join(line.get("stream", "") for line in lines)


def test_what_belongs_to_a_later_step_waits_for_its_turn() -> None:
    text = told(
        Started(step=1),
        Started(step=3),
        Done(step=1, image=IMAGE),
        Done(step=3, image=IMAGE),
        Started(step=4),
        out(4, "second\n"),
        Started(step=2),
        out(2, "first\n"),
        Done(step=4, image=IMAGE),
        Done(step=2, image=IMAGE),
    )
    assert text == (
        f"Step 1/4 : FROM a\n{SHORT}Step 2/4 : RUN one\nfirst\n{SHORT}"
        f"Step 3/4 : FROM b\n{SHORT}Step 4/4 : RUN two\nsecond\n{SHORT}"
    )


def test_a_step_whose_image_has_no_name_yet_keeps_the_next_one_waiting() -> None:
    assert told(Started(step=1), Started(step=2), out(2, "early\n")) == "Step 1/4 : FROM a\n"
    assert told(Started(step=1), Started(step=2), out(2, "early\n"), Done(step=1, image=IMAGE)).endswith(
        f"{SHORT}Step 2/4 : RUN one\nearly\n"
    )


def test_what_a_step_said_before_it_failed_is_shown_out_of_turn() -> None:
    error = CommandFailed("it failed", code=3)
    text = told(Started(step=1), Started(step=3), Started(step=4), out(4, "oh\n"), Failed(step=4, error=error, code=3))
    assert text.endswith("Step 4/4 : RUN two\noh\n")


def test_a_letter_that_is_cut_is_put_together_again() -> None:
    whole = "é".encode()
    events = (Started(step=1), out(1, whole[:1]), out(1, "x", Stream.STDERR), out(1, whole[1:]))
    assert told(*events) == "Step 1/4 : FROM a\n\x1b[91mx\x1b[0mé"


def test_a_command_ahead_of_its_turn_waits_when_it_has_said_much() -> None:
    transcript = Transcript(lambda line: None, check=lambda: None)
    transcript.tell(plan())
    went_on = threading.Event()

    def chatter() -> None:
        for _ in range(3):
            transcript.tell(out(2, b"x" * 400_000))
        went_on.set()

    thread = threading.Thread(target=chatter)
    thread.start()
    assert not went_on.wait(0.3)
    transcript.tell(Done(step=1, image=IMAGE))
    assert went_on.wait(5)
    thread.join()


def test_a_quiet_build_tells_its_image_alone_or_everything_when_it_fails() -> None:
    assert told(Started(step=1), Done(step=1, image=IMAGE), Built(image=IMAGE), quiet=True) == f"{IMAGE}\n"
    lines: list[dict[str, Any]] = []
    transcript = Transcript(lines.append, check=lambda: None, quiet=True)
    for event in (plan(), Started(step=1)):
        transcript.tell(event)
    assert lines == []
    transcript.end(CommandFailed("it failed", code=3))
    assert lines[0] == {"stream": "Step 1/4 : FROM a"}
    assert lines[-1] == {"errorDetail": {"code": 3, "message": "it failed"}, "error": "it failed"}


def test_structured_lines_have_their_fields() -> None:
    lines: list[dict[str, Any]] = []
    stream = BuildStream(lines.append)
    for event in (plan(), Cached(step=1), Missed(step=2, reason="f changed", changed=("f",)), out(2, "é"[:1])):
        stream.tell(event)
    stream.end(CommandFailed("it failed", code=3))
    assert [line["Type"] for line in lines] == ["plan", "hit", "miss", "log", "error"]
    assert lines[0]["Steps"][1] == {
        "Step": 2,
        "Stage": 0,
        "StageName": "",
        "Instruction": "RUN",
        "Text": "RUN one",
        "Line": 2,
        "EndLine": 2,
        "Needs": [],
    }
    assert (lines[2]["Reason"], lines[2]["Changed"]) == ("f changed", ["f"])
    assert (lines[-1]["Message"], lines[-1]["ExitCode"]) == ("it failed", 3)
