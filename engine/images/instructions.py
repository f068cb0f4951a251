"""The instructions of a Dockerfile that change only an image's config, for `docker commit --change`."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from engine.errors import InvalidParameter
from engine.types import parse_duration

_DURATIONS: Final = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
}
_PORT: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


def applied(config: Mapping[str, Any], lines: Sequence[str]) -> dict[str, Any]:
    """*config*, as in an image's JSON, after the instructions *lines*; `InvalidParameter` names the line."""
    result = dict(config)
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        if not word:
            continue
        apply = _INSTRUCTIONS.get(word.upper())
        if apply is None:
            raise InvalidParameter(
                f"{word[:40]} is not a valid change command: use one of {', '.join(sorted(_INSTRUCTIONS))}"
            )
        if not rest.strip():
            raise InvalidParameter(f"{word.upper()} requires at least one argument: {line[:100]!r}")
        try:
            apply(result, rest.strip())
        except ValueError as error:
            raise InvalidParameter(f"{line[:200]!r}: {error}") from error
    return result


def _command(text: str) -> list[str]:
    """A JSON array as it is, anything else as a line for the shell."""
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
    return ["/bin/sh", "-c", text]


def _texts(text: str) -> list[str]:
    if text.startswith("["):
        words = json.loads(text)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("expected a list of texts")
        return words
    return shlex.split(text)


def _pairs(text: str) -> dict[str, str]:
    """`a=b c="d e"`, or the old form `NAME the rest`."""
    words = shlex.split(text)
    if words and "=" not in words[0]:
        name, _, value = text.partition(" ")
        return {name: value.strip()}
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ValueError(f"{word[:60]!r} is not of the form name=value")
        pairs[name] = value
    return pairs


def _cmd(config: dict[str, Any], text: str) -> None:
    config["Cmd"] = _command(text)


def _entrypoint(config: dict[str, Any], text: str) -> None:
    config["Entrypoint"] = _command(text)
    config["Cmd"] = None


def _env(config: dict[str, Any], text: str) -> None:
    variables = {variable.partition("=")[0]: variable for variable in config.get("Env") or ()}
    variables |= {name: f"{name}={value}" for name, value in _pairs(text).items()}
    config["Env"] = list(variables.values())


def _expose(config: dict[str, Any], text: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in text.split():
        match = _PORT.fullmatch(word)
        if match is None or not 1 <= int(match[1]) <= int(match[2] or match[1]) <= 65535:
            raise ValueError(f"{word[:40]!r} is no port: write 80, 80/udp or 8000-8010, several with spaces between")
        for number in range(int(match[1]), int(match[2] or match[1]) + 1):
            ports[f"{number}/{(match[3] or 'tcp').lower()}"] = {}
    config["ExposedPorts"] = ports


def _label(config: dict[str, Any], text: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **_pairs(text)}


def _user(config: dict[str, Any], text: str) -> None:
    config["User"] = text


def _volume(config: dict[str, Any], text: str) -> None:
    config["Volumes"] = {**(config.get("Volumes") or {}), **{place: {} for place in _texts(text)}}


def _workdir(config: dict[str, Any], text: str) -> None:
    before = config.get("WorkingDir") or "/"
    config["WorkingDir"] = text if text.startswith("/") else f"{before.rstrip('/')}/{text}"


def _stopsignal(config: dict[str, Any], text: str) -> None:
    config["StopSignal"] = text


def _onbuild(config: dict[str, Any], text: str) -> None:
    config["OnBuild"] = [*(config.get("OnBuild") or ()), text]


def _healthcheck(config: dict[str, Any], text: str) -> None:
    check: dict[str, Any] = {}
    while text.startswith("--"):
        option, _, text = text.partition(" ")
        name, _, value = option[2:].partition("=")
        if name == "retries" and value.isdecimal():
            check["Retries"] = int(value)
        elif name in _DURATIONS and (duration := parse_duration(value)) is not None:
            check[_DURATIONS[name]] = duration
        else:
            raise ValueError(f"{option[:60]!r} is no option of HEALTHCHECK, or has no valid value")
    word, _, rest = text.strip().partition(" ")
    if word.upper() == "NONE":
        check = {"Test": ["NONE"]}
    elif word.upper() == "CMD" and rest.strip():
        command = _command(rest.strip())
        shell = command[:2] == ["/bin/sh", "-c"] and not rest.strip().startswith("[")
        check["Test"] = ["CMD-SHELL", command[2]] if shell else ["CMD", *command]
    else:
        raise ValueError("expected NONE, or CMD and a command")
    config["Healthcheck"] = check


_INSTRUCTIONS: Final[Mapping[str, Callable[[dict[str, Any], str], None]]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
