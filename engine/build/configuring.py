"""Instructions that change an image's config and no file (OCI image-spec, config.md; Docker's reference)."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import Any

from engine.build import words
from engine.build.dockerfile import ports
from engine.build.dockerfile.errors import Mistake
from engine.build.dockerfile.model import (
    Arg,
    Cmd,
    CommandLine,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from engine.build.tips import Tip
from engine.containers.signals import signal_number
from engine.errors import InvalidParameter
from engine.types import duration_text


def configured(tip: Tip, given: Instruction, *, keeps_command: bool) -> tuple[Tip, str]:
    """*tip* after *given*, whose variables have their values, and what the history says of it.

    *keeps_command* says whether a command that is set was set in this stage: another ENTRYPOINT takes away one of the
    base image. `InvalidParameter` for what cannot be meant.
    """
    changed, text = _changed(tip, given, keeps_command)
    return changed, words.comment(changed.shell, text)


def working_dir(tip: Tip, given: Workdir) -> str:
    """The absolute path that WORKDIR means."""
    return posixpath.normpath(posixpath.join("/", tip.working_dir, given.path)).replace("//", "/")


def _changed(tip: Tip, given: Instruction, keeps_command: bool) -> tuple[Tip, str]:
    match given:
        case Env():
            return _env(tip, given)
        case Label():
            labels = {pair.key: pair.value for pair in given.pairs}
            told = " ".join(f"{key}={value}" for key, value in labels.items())
            return tip.configured({"Labels": {**(tip.config.get("Labels") or {}), **labels}}), f"LABEL {told}"
        case Arg():
            told = " ".join(
                each.name if each.default is None else f"{each.name}={each.default}" for each in given.arguments
            )
            return tip, f"ARG {told}"
        case Cmd():
            command = _command(tip, given.command)
            return tip.configured({"Cmd": command}), f"CMD {words.quoted(command)}"
        case Entrypoint():
            command = _command(tip, given.command)
            changes: dict[str, Any] = {"Entrypoint": command} | ({} if keeps_command else {"Cmd": None})
            return tip.configured(changes), f"ENTRYPOINT {words.quoted(command)}"
        case Shell():
            return tip.configured({"Shell": list(given.words)}), f"SHELL [{' '.join(given.words)}]"
        case User():
            return tip.configured({"User": given.user}), f"USER {given.user}"
        case Workdir():
            path = working_dir(tip, given)
            return tip.configured({"WorkingDir": path}), f"WORKDIR {path}"
        case Expose():
            return _expose(tip, given)
        case Volume():
            return _volume(tip, given)
        case StopSignal():
            signal_number(given.signal)
            return tip.configured({"StopSignal": given.signal}), f"STOPSIGNAL {given.signal}"
        case Healthcheck():
            return tip.configured({"Healthcheck": _health(given)}), _health_words(given)
        case Onbuild():
            triggers = [*(tip.config.get("OnBuild") or ()), given.expression]
            return tip.configured({"OnBuild": triggers}), f"ONBUILD {given.expression}"
        case Maintainer():
            return replace(tip, author=given.author), f"MAINTAINER {given.author}"
    raise InvalidParameter(f"{given.name} is not known here")


def _command(tip: Tip, line: CommandLine) -> list[str]:
    return [*tip.shell, line.text] if line.shell_form else list(line.words)


def _env(tip: Tip, given: Env) -> tuple[Tip, str]:
    variables = {variable.partition("=")[0]: variable for variable in tip.env}
    for pair in given.pairs:
        if not pair.key:
            raise InvalidParameter("ENV names can not be blank")
        variables[pair.key] = f"{pair.key}={pair.value}"
    told = " ".join(f"{pair.key}={pair.value}" for pair in given.pairs)
    return tip.configured({"Env": list(variables.values())}), f"ENV {told}"


def _expose(tip: Tip, given: Expose) -> tuple[Tip, str]:
    try:
        names = ports.names(ports.exposed(given.ports))
    except Mistake as mistake:
        raise InvalidParameter(str(mistake)) from mistake
    exposed = {**(tip.config.get("ExposedPorts") or {}), **{name: {} for name in names}}
    return tip.configured({"ExposedPorts": exposed}), f"EXPOSE {' '.join(sorted(given.ports))}"


def _volume(tip: Tip, given: Volume) -> tuple[Tip, str]:
    places = [path.strip() for path in given.paths]
    if not all(places):
        raise InvalidParameter("VOLUME specified can not be an empty string")
    volumes = {**(tip.config.get("Volumes") or {}), **{place: {} for place in places}}
    return tip.configured({"Volumes": volumes}), f"VOLUME [{' '.join(given.paths)}]"


def _health(given: Healthcheck) -> dict[str, Any]:
    values = {
        "Test": list(given.test),
        "Interval": given.interval,
        "Timeout": given.timeout,
        "StartPeriod": given.start_period,
        "StartInterval": given.start_interval,
        "Retries": given.retries,
    }
    return {name: value for name, value in values.items() if value}


def _health_words(given: Healthcheck) -> str:
    """As Go's `%q` prints the structure; the number of retries comes out as a character."""
    times = " ".join(f'"{duration_text(each)}"' for each in (given.interval, given.timeout, given.start_period))
    retries = chr(given.retries) if given.retries >= ord(" ") else f"\\x{given.retries:02x}"
    return f"HEALTHCHECK &{{{words.quoted(given.test)} {times} '{retries}'}}"
