"""What a registry's refusals mean, in the words that Docker's clients know (distribution-spec, "Error Codes")."""

from __future__ import annotations

import json
from typing import Final

import requests
from urllib3.exceptions import HTTPError

from engine.errors import EngineError, InvalidParameter, ManifestUnknown, Unauthorized, Unavailable
from engine.registry.reference import Reference
from engine.types import printable

_BODY_LIMIT: Final = 64 * 1024


def refusal(response: requests.Response, reference: Reference) -> EngineError:
    """The error that *response*, an answer of 400 or more about *reference*, stands for. Closes the response."""
    code, words = _words(response)
    status = response.status_code
    if code == "DENIED" or (status == 403 and not code):
        # Docker answers "not found" here, on purpose: who may not pull may not learn what exists.
        return ManifestUnknown(
            f"pull access denied for {reference.familiar_name}, repository does not exist or may require "
            f"'docker login': {words or 'denied: requested access to the resource is denied'}"
        )
    if code == "MANIFEST_UNKNOWN":
        return ManifestUnknown(f"manifest for {reference.familiar} not found: {words}")
    if code == "NAME_UNKNOWN":
        return ManifestUnknown(f"repository {reference.familiar_name} not found: {words}")
    if status == 404 and code != "UNAUTHORIZED":
        return ManifestUnknown(f"manifest for {reference.familiar} not found: {words or 'the registry says 404'}")
    return _refused(code, words, response, reference.domain)


def refusal_of_push(response: requests.Response, reference: Reference) -> EngineError:
    """The same of a push: a denial is told as one, and nothing is told to be missing that the pusher brings."""
    code, words = _words(response)
    status = response.status_code
    if code == "DENIED" or status == 403:
        return Unauthorized(words or "denied: requested access to the resource is denied")
    return _refused(code, words, response, reference.domain)


def refusal_of_visit(response: requests.Response, domain: str) -> EngineError:
    """The same of a request about no repository."""
    code, words = _words(response)
    return _refused(code, words, response, domain)


def _refused(code: str, words: str, response: requests.Response, domain: str) -> EngineError:
    status = response.status_code
    if code == "UNAUTHORIZED" or status in (401, 403):
        return Unauthorized(words or "unauthorized: authentication required")
    if status >= 500 or status == 429:
        return Unavailable(f"registry {domain} failed: {words or _status_line(response)}")
    return InvalidParameter(f"registry {domain} refused: {words or _status_line(response)}")


def unreachable(domain: str, error: BaseException, *, what: str = "registry") -> Unavailable:
    """The error for a server that does not answer, with the innermost reason that *error* knows."""
    return Unavailable(f"cannot reach {what} {domain}: {reason(error)}")


def _words(response: requests.Response) -> tuple[str, str]:
    """The code of the first error, and the sentence that Docker makes of it."""
    code, text = _first_error(response)
    said = code.lower().replace("_", " ")
    return code, f"{said}: {text or said}" if code else text


def _status_line(response: requests.Response) -> str:
    return f"received unexpected HTTP status: {response.status_code} {printable(response.reason or '')}".rstrip()


def _first_error(response: requests.Response) -> tuple[str, str]:
    with response:
        try:
            body = json.loads(response.raw.read(_BODY_LIMIT, decode_content=True))
            if isinstance(body.get("details"), str):  # Docker Hub's token server
                return "UNAUTHORIZED", printable(body["details"])
            first = body["errors"][0]
            code, text = first.get("code") or "", first.get("message") or ""
        except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError, HTTPError):
            return "", ""
    return (printable(str(code)), printable(str(text)))


def reason(error: BaseException) -> str:
    """The reason nearest to the kernel or the resolver: libraries wrap it in several layers of their own."""
    seen: set[int] = set()
    best = ""
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, OSError) and current.strerror:
            best = current.strerror
        elif isinstance(current, TimeoutError | requests.Timeout):
            best = best or "it did not answer in time"
        inner = getattr(current, "reason", None) or next(
            (argument for argument in current.args if isinstance(argument, BaseException)), None
        )
        current = inner if isinstance(inner, BaseException) else current.__cause__ or current.__context__
    return best or printable(str(error))
