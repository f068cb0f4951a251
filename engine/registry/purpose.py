"""What somebody wants of a registry: it decides the scope of tokens, and the words of errors."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import requests

from engine.errors import EngineError
from engine.registry.failures import refusal, refusal_of_push, refusal_of_visit
from engine.registry.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """One errand at the registry *domain*."""

    domain: str
    name: str
    """What is told when it is cancelled: `pull of debian:latest`."""
    scopes: tuple[str, ...]
    """What a token is asked for, such as `repository:library/debian:pull` (distribution-spec, "Token Scope")."""
    refused: Callable[[requests.Response], EngineError]
    """The error that an answer of 400 or more stands for; it closes the answer."""
    mirrors: bool = False
    """Whether a mirror will do."""
    keep: bool = False
    """Whether a token to be kept is asked for, instead of the password."""


def pulling(reference: Reference) -> Purpose:
    return Purpose(
        domain=reference.domain,
        name=f"pull of {reference.familiar}",
        scopes=(f"repository:{reference.path}:pull",),
        refused=lambda response: refusal(response, reference),
        mirrors=True,
    )


def pushing(reference: Reference, *, mounted_from: Collection[str] = ()) -> Purpose:
    """*mounted_from* are repositories of the same registry that blobs may be taken from."""
    return Purpose(
        domain=reference.domain,
        name=f"push of {reference.familiar}",
        scopes=(
            f"repository:{reference.path}:pull,push",
            *(f"repository:{path}:pull" for path in sorted(mounted_from)),
        ),
        refused=lambda response: refusal_of_push(response, reference),
    )


def visiting(domain: str, *, what: str, keep: bool = False) -> Purpose:
    """To ask the registry itself, not one of its repositories."""
    scopes = () if keep else ("registry:catalog:*",)
    return Purpose(
        domain=domain,
        name=what,
        scopes=scopes,
        refused=lambda response: refusal_of_visit(response, domain),
        keep=keep,
    )
