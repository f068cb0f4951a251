"""What the build pages read."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet

from webui.jobs.models import Job, JobKind

if TYPE_CHECKING:
    from webui.environments.models import Environment


def builds_of(environment: Environment) -> QuerySet[Job]:
    """The builds of an environment, newest first."""
    return Job.objects.filter(environment=environment, kind=JobKind.BUILD).select_related("environment", "created_by")


def command_of(job: Job) -> str:
    """The build as the docker CLI would be asked for it; a Dockerfile of the editor is read from standard input.

    Values of build arguments, which may be secrets, are left out: docker takes them from the shell's own environment.
    """
    parameters: dict[str, Any] = job.parameters
    words = ["docker", "build"]
    for tag in parameters["tags"]:
        words += ["-t", tag]
    for name in parameters["arguments"]:
        words += ["--build-arg", name]
    for name, value in parameters["labels"].items():
        words += ["--label", f"{name}={value}"]
    for name in parameters.get("secrets", ()):
        words += ["--secret", f"id={name}"]
    words += ["--ssh", "default"] * bool(parameters.get("ssh"))
    for option in ("target", "platform", "network"):
        if parameters[option]:
            words += [f"--{option}", parameters[option]]
    words += ["--no-cache"] * parameters["no_cache"] + ["--pull"] * parameters["pull"]
    if parameters["path"]:
        words += ["-f", parameters["path"]]
    if parameters["remote"]:
        words.append(parameters["remote"])
    elif parameters["upload"]:
        words.append(".")
    else:
        return f"{shlex.join(words)} - < Dockerfile"
    return shlex.join(words)


def progress_for(job: Job, *, words: bool) -> dict[str, Any]:
    """A build's picture; without *words*, of each instruction its keyword alone: a Dockerfile may hold secrets."""
    progress: dict[str, Any] = job.progress
    if words or not progress.get("steps"):
        return progress
    return {**progress, "steps": [{**step, "text": step["instruction"]} for step in progress["steps"]]}
