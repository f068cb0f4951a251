"""Credentials for a registry and the tokens that it asks for (distribution-spec, "Token Authentication")."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import urlsplit

from engine.errors import InvalidParameter, Unauthorized
from engine.registry.hosts import is_address, is_loopback

_HEADER_LIMIT: Final = 64 * 1024
_SHORTEST_HOUSE: Final = 3
_CLIENT: Final = "havre"
_CHALLENGE: Final = re.compile(r"[\s,]*([A-Za-z][A-Za-z0-9._-]*)(?=[\s,]|$)(?!\s*=)")
_PARAMETER: Final = re.compile(r'\s*,?\s*([A-Za-z0-9!#$%&\'*+.^_`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAuth:
    """What a user gave for one registry (Docker Engine API, `AuthConfig`). The secrets stay out of its `repr`."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """A refresh token of the token server."""
    registry_token: str = field(default="", repr=False)
    """A bearer token to be sent as it is."""
    server_address: str = ""

    @classmethod
    def from_header(cls, text: str) -> Self | None:
        """The credentials of an `X-Registry-Auth` header, base64url JSON; `None` for an empty one (`e30=`)."""
        if not text.strip():
            return None
        try:
            padded = text.strip() + "=" * (-len(text.strip()) % 4)
            values = json.loads(base64.b64decode(padded, altchars=b"-_")) if len(text) <= _HEADER_LIMIT else None
        except (binascii.Error, ValueError, RecursionError) as error:
            raise InvalidParameter(f"invalid X-Registry-Auth header: {error}") from error
        auth = cls.from_document(values)
        return auth if auth != cls(server_address=auth.server_address) else None

    @classmethod
    def from_document(cls, values: object) -> Self:
        """The credentials in the JSON of an `AuthConfig`."""
        if not isinstance(values, dict) or not all(isinstance(value, str | None) for value in values.values()):
            raise InvalidParameter("invalid credentials: expected a JSON object of strings")
        return cls(
            username=values.get("username") or "",
            password=values.get("password") or "",
            identity_token=values.get("identitytoken") or "",
            registry_token=values.get("registrytoken") or "",
            server_address=values.get("serveraddress") or "",
        )

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header for Basic authentication (RFC 7617)."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One way to authenticate that a `WWW-Authenticate` header offers (RFC 9110, 11.6.1); the scheme in lower case."""

    scheme: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """The request that gets a bearer token: a GET with `parameters`, or a POST when `form` is set."""

    realm: str
    parameters: Mapping[str, str | tuple[str, ...]]
    authorization: str = field(default="", repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges of a `WWW-Authenticate` header, in its order; what cannot be read is left out."""
    challenges = []
    position = 0
    text = header[:_HEADER_LIMIT]
    while match := _CHALLENGE.match(text, position):
        position = match.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(text, position):
            value = parameter[3] if parameter[2] is None else re.sub(r"\\(.)", r"\1", parameter[2])
            parameters.setdefault(parameter[1].lower(), value)
            position = parameter.end()
        challenges.append(Challenge(scheme=match[1].lower(), parameters=parameters))
    return tuple(challenges)


def token_request(
    challenge: Challenge,
    *,
    registry_url: str,
    scopes: Sequence[str],
    auth: RegistryAuth | None,
    known: Collection[str] = (),
    keep: bool = False,
) -> TokenRequest:
    """What to ask the token server that *challenge* names, for access to *scopes* (`repository:library/debian:pull`).

    `Unauthorized` when the server may not be trusted: it must be reached by TLS, unless it is the registry's own host
    or both are on the loopback, and the registry itself was reached without TLS. Credentials go to it only when it
    belongs to the registry (`belongs`) or is one of the *known* hosts. With *keep*, a password is to be exchanged for a
    token that can be kept.
    """
    realm = challenge.parameters.get("realm", "")
    if not _trusted(realm, registry_url):
        raise Unauthorized(
            f"registry {urlsplit(registry_url).netloc} wants a token from {realm[:200]!r}, which is not reached by "
            "TLS: refused"
        )
    if auth is not None and not belongs(realm, registry_url) and urlsplit(realm).hostname not in known:
        raise Unauthorized(
            f"registry {urlsplit(registry_url).netloc} wants its credentials sent to {urlsplit(realm).netloc[:200]}, "
            "which does not seem to belong to it: refused; if it does, name it in HAVRE_TOKEN_SERVERS"
        )
    service = challenge.parameters.get("service", "")
    if auth and auth.identity_token:
        form = {
            "grant_type": "refresh_token",
            "client_id": _CLIENT,
            "refresh_token": auth.identity_token,
            "service": service,
            "scope": " ".join(scopes),
        }
        return TokenRequest(realm=realm, parameters={}, form=form)
    parameters: dict[str, str | tuple[str, ...]] = {}
    if service:
        parameters["service"] = service
    if scopes:
        parameters["scope"] = tuple(scopes)
    if auth and auth.username:
        parameters["account"] = auth.username
        if keep:
            parameters |= {"client_id": _CLIENT, "offline_token": "true"}
        return TokenRequest(realm=realm, parameters=parameters, authorization=auth.basic)
    return TokenRequest(realm=realm, parameters=parameters)


def identity_token_of(document: object) -> str:
    """The token to be kept that a token server gave along, if it did."""
    token = document.get("refresh_token") if isinstance(document, dict) else None
    return token if isinstance(token, str) and token.isascii() and token.isprintable() else ""


def token_of(document: object) -> str:
    """The token in a token server's answer, which calls it `token` or `access_token`."""
    if isinstance(document, dict):
        token = document.get("token") or document.get("access_token")
        if isinstance(token, str) and token.isascii() and token.isprintable():
            return token
    raise Unauthorized("authorization server did not include a token in the response")


def belongs(realm: str, registry_url: str) -> bool:
    """Whether the token server at *realm* is of the same house as the registry: the same host, one below it, or another
    below the domain that the registry's host is in (`registry.example.org` and `auth.example.org`)."""
    server, registry = urlsplit(realm).hostname or "", urlsplit(registry_url).hostname or ""
    if server == registry or (is_loopback(server) and is_loopback(registry)):
        return True
    if is_address(server) or is_address(registry):
        return False
    if server.endswith(f".{registry}"):
        return True
    house = registry.partition(".")[2]
    labels = house.split(".")
    # In `example.co.uk` the rest is no house, but everybody's. The public suffix list would tell; this errs on the
    # side of refusing.
    if len(labels) < 2 or (len(labels) == 2 and len(labels[0]) <= _SHORTEST_HOUSE):
        return False
    return server == house or server.endswith(f".{house}")


def _trusted(realm: str, registry_url: str) -> bool:
    try:
        target, registry = urlsplit(realm), urlsplit(registry_url)
        same_host = target.hostname == registry.hostname
    except ValueError:
        return False
    if not target.hostname or target.username is not None:
        return False
    if target.scheme == "https":
        return True
    both_local = is_loopback(target.hostname) and is_loopback(registry.hostname or "")
    return target.scheme == "http" == registry.scheme and (same_host or both_local)
