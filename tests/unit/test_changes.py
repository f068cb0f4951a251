"""The instructions of `docker commit --change` and `docker import --change`."""

from __future__ import annotations

from typing import Any

import pytest

from engine.build.changes import change_of
from engine.errors import InvalidParameter

BEFORE: dict[str, Any] = {"Env": ["A=1", "B=2"], "Cmd": ["old"], "WorkingDir": "/srv", "Labels": {"x": "1"}}


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("CMD echo hi", "Cmd", ["/bin/sh", "-c", "echo hi"]),
        ('cmd ["echo", "hi"]', "Cmd", ["echo", "hi"]),
        ('CMD [ "broken"', "Cmd", ["/bin/sh", "-c", '[ "broken"']),
        ('ENTRYPOINT ["env"]', "Cmd", None),
        ("ENV A=9 C='d e'", "Env", ["A=9", "B=2", "C=d e"]),
        ("ENV C the old form", "Env", ["A=1", "B=2", "C=the old form"]),
        ("EXPOSE 80 90/udp 8000-8001", "ExposedPorts", {"80/tcp": {}, "90/udp": {}, "8000/tcp": {}, "8001/tcp": {}}),
        ('LABEL y="a b"', "Labels", {"x": "1", "y": "a b"}),
        ("USER 33:33", "User", "33:33"),
        ('VOLUME ["/a", "/b"]', "Volumes", {"/a": {}, "/b": {}}),
        ("WORKDIR sub", "WorkingDir", "/srv/sub"),
        ("WORKDIR /else", "WorkingDir", "/else"),
        ("STOPSIGNAL SIGINT", "StopSignal", "SIGINT"),
        ("ONBUILD RUN true", "OnBuild", ["RUN true"]),
        (
            "HEALTHCHECK --interval=5s --retries=2 CMD curl -f localhost",
            "Healthcheck",
            {"Interval": 5_000_000_000, "Retries": 2, "Test": ["CMD-SHELL", "curl -f localhost"]},
        ),
        ("HEALTHCHECK NONE", "Healthcheck", {"Test": ["NONE"]}),
    ],
)
def test_a_change(line: str, key: str, value: object) -> None:
    assert change_of([line])(BEFORE)[key] == value
    assert BEFORE["Cmd"] == ["old"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("RUN true", "RUN is not a valid change command"),
        ("CMD", "requires at least one argument"),
        ("EXPOSE 80, 443", "write EXPOSE 80 443"),
        ("EXPOSE 70000", "invalid containerPort: 70000"),
        ("ENV a=1 b", "Must be of the form: name=value"),
        ("LABEL open", "LABEL must have two arguments"),
        ("VOLUME [1]", "comprised of strings only"),
        ("HEALTHCHECK --interval=soon CMD x", "invalid duration"),
        ("HEALTHCHECK sometimes", "Unknown type"),
    ],
)
def test_what_is_none(line: str, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        change_of([line])


def test_several_and_empty_ones() -> None:
    assert change_of(["", "  ", "USER a", "USER b"])({})["User"] == "b"


def test_variables_are_those_of_the_config() -> None:
    changed = change_of(["ENV C=$A$B", "ENV D=$C", "WORKDIR $A", "CMD echo $A"])(BEFORE)
    assert changed["Env"] == ["A=1", "B=2", "C=12", "D=12"]
    assert (changed["WorkingDir"], changed["Cmd"]) == ("/srv/1", ["/bin/sh", "-c", "echo $A"])
    with pytest.raises(InvalidParameter, match="looking for matching single-quote"):
        change_of(["LABEL a='open"])(BEFORE)
    with pytest.raises(InvalidParameter, match="NONE: is not allowed to be unset"):
        change_of(["USER ${NONE?}"])(BEFORE)
    with pytest.raises(InvalidParameter, match="characters in all"):
        change_of([*["ENV A=$A$A"] * 20, *(f"ENV N{number}=$A" for number in range(20))])(BEFORE)


def test_an_entrypoint_takes_away_the_command_that_was_there_and_not_the_new_one() -> None:
    assert change_of(["ENTRYPOINT env"])(BEFORE)["Cmd"] is None
    assert change_of(['CMD ["new"]', "ENTRYPOINT env"])(BEFORE)["Cmd"] == ["new"]
