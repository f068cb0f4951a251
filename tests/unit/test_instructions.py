"""The instructions of `docker commit --change`."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InvalidParameter
from engine.images.instructions import applied

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
    assert applied(BEFORE, [line])[key] == value
    assert BEFORE["Cmd"] == ["old"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("RUN true", "RUN is not a valid change command"),
        ("CMD", "requires at least one argument"),
        ("EXPOSE 80, 443", "is no port"),
        ("EXPOSE 70000", "is no port"),
        ("ENV a=1 b", "not of the form name=value"),
        ("LABEL 'open", "quotation"),
        ("VOLUME [1]", "list of texts"),
        ("HEALTHCHECK --interval=soon CMD x", "is no option of HEALTHCHECK"),
        ("HEALTHCHECK sometimes", "expected NONE"),
    ],
)
def test_what_is_none(line: str, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        applied(BEFORE, [line])


def test_several_and_empty_ones() -> None:
    assert applied({}, ["", "  ", "USER a", "USER b"])["User"] == "b"
