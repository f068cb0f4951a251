"""One registry over HTTP: which endpoint answers, tokens, redirects, patience.

A request goes out as `transport.get(path, …)` and comes back as an answer below 400 or as an engine error. Endpoints,
credentials and retries are decided here and nowhere else; what an answer's body means is the client's business.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from engine.errors import Cancelled, EngineError, ManifestUnknown, Unauthorized, Unavailable
from engine.registry.auth import RegistryAuth, TokenRequest, parse_challenges, token_of, token_request
from engine.registry.connections import SocketSwitch, new_session
from engine.registry.failures import refusal, unreachable
from engine.registry.hosts import Endpoint, RegistryHosts, is_loopback
from engine.registry.reference import Reference

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HOPS: Final = 5
_TOKEN_LIMIT: Final = 1024 * 1024
_SYSTEM_CERTIFICATES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
NETWORK_ERRORS: Final = (requests.RequestException, HTTPError, OSError)
"""What requests and urllib3 raise when the network or the peer fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a registry, in seconds, and how often to ask again."""

    connect: float = 10.0
    read: float = 30.0
    attempts: int = 5
    first_pause: float = 0.25
    """Before the second attempt; doubles each time."""
    longest_pause: float = 10.0
    """The most that a registry's `Retry-After` is obeyed."""


class RequestOptions(TypedDict):
    """The arguments of a request that decide how it is sent."""

    stream: bool
    allow_redirects: bool
    timeout: tuple[float, float]
    verify: bool | str
    proxies: dict[str, str]


class Transport:
    """Requests to the registry of *reference*, on behalf of one pull. Any thread may use it; close it in the end."""

    def __init__(
        self,
        reference: Reference,
        *,
        hosts: RegistryHosts,
        auth: RegistryAuth | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._reference = reference
        self._hosts = hosts
        self._auth = auth
        self._cancelled = threading.Event()
        self._patience = patience or Patience()
        self._switch = SocketSwitch()
        self._session = new_session(self._switch)
        self._lock = threading.Lock()
        self._endpoints = hosts.endpoints(reference.domain)
        self._reached = False
        self._authorization: dict[str, str] = {}
        self._scope = f"repository:{reference.path}:pull"

    def close(self) -> None:
        self._session.close()

    def abort(self) -> None:
        """Cut every connection, so that whoever waits for one gets `Cancelled` at once."""
        self._cancelled.set()
        self._switch.turn_off()

    def check(self) -> None:
        """`Cancelled` when the caller has asked to stop."""
        if self._cancelled.is_set():
            raise Cancelled(f"pull of {self._reference.familiar} cancelled")

    def pause(self, attempt: int, *, wanted: float = 0.0) -> None:
        """Wait before attempt number *attempt* + 1; `Cancelled` as soon as the caller has asked to stop."""
        seconds = min(max(wanted, self._patience.first_pause * 2 ** (attempt - 1)), self._patience.longest_pause)
        self._cancelled.wait(seconds)
        self.check()

    @property
    def attempts(self) -> int:
        return self._patience.attempts

    def get(self, path: str, *, headers: Mapping[str, str]) -> requests.Response:
        """The open answer to a GET of *path* (below `/v2/`), of a status under 400. Close it.

        Raises what `refusal` makes of an answer of 400 or more, `Unavailable` when no endpoint answers.
        """
        while True:
            endpoint, last = self._endpoints[0], len(self._endpoints) == 1
            try:
                return self._patiently(endpoint, path, headers)
            except (Unavailable, ManifestUnknown, Unauthorized) as error:
                # A mirror may lack what the registry itself has; plain HTTP comes after TLS that nobody answered.
                if last or not (endpoint.mirror or (isinstance(error, Unavailable) and not self._reached)):
                    raise
                self._give_up(endpoint)

    def _give_up(self, endpoint: Endpoint) -> None:
        with self._lock:
            if self._endpoints[0] == endpoint and len(self._endpoints) > 1:
                self._endpoints = self._endpoints[1:]
                self._reached = False

    def _patiently(self, endpoint: Endpoint, path: str, headers: Mapping[str, str]) -> requests.Response:
        attempt = 0
        while True:
            attempt += 1
            self.check()
            wanted = 0.0
            failure: EngineError
            try:
                response = self._authorised(endpoint, path, headers)
            except NETWORK_ERRORS as error:
                self.check()
                failure = unreachable(self._reference.domain, error)
                # The first contact decides at once: a mistyped address should not take seconds to be refused.
                if not self._reached:
                    raise failure from error
            else:
                self._reached = True
                if response.status_code < 400:
                    return response
                wanted = _retry_after(response)
                transient = response.status_code == 429 or response.status_code in (500, 502, 503, 504)
                failure = refusal(response, self._reference)
                if not transient:
                    raise failure
            if attempt >= self._patience.attempts:
                raise failure
            self.pause(attempt, wanted=wanted)

    def _authorised(self, endpoint: Endpoint, path: str, headers: Mapping[str, str]) -> requests.Response:
        """The answer to the request, asked again with credentials when the first answer is 401."""
        used = self._authorization.get(endpoint.url) or self._given(endpoint)
        response = self._follow(endpoint, path, headers, used)
        if response.status_code != 401:
            return response
        try:
            fresh = self._fresh(endpoint, response.headers.get("WWW-Authenticate", ""), used)
        except BaseException:
            response.close()
            raise
        if not fresh:
            return response
        response.close()
        return self._follow(endpoint, path, headers, fresh)

    def _fresh(self, endpoint: Endpoint, header: str, used: str) -> str:
        """Credentials that have not been refused yet, for all threads to use; empty when there are none."""
        with self._lock:
            current = self._authorization.get(endpoint.url, "")
            if current in ("", used):
                current = self._authorization_for(endpoint, header, refused=bool(used))
                self._authorization[endpoint.url] = current
            return current

    def _given(self, endpoint: Endpoint) -> str:
        token = self._auth.registry_token if self._auth and not endpoint.mirror else ""
        return f"Bearer {token}" if token else ""

    def _authorization_for(self, endpoint: Endpoint, header: str, *, refused: bool) -> str:
        """The `Authorization` that answers the challenge *header*; empty when there is none to give."""
        auth = None if endpoint.mirror else self._auth
        for challenge in parse_challenges(header):
            if challenge.scheme == "bearer":
                request = token_request(challenge, registry_url=endpoint.url, scope=self._scope, auth=auth)
                return f"Bearer {self._token(endpoint, request)}"
            if challenge.scheme == "basic" and not refused:
                if auth is None or not auth.username:
                    raise Unauthorized(f"no basic auth credentials for {self._reference.domain}: log in first")
                return auth.basic
        return ""

    def _token(self, endpoint: Endpoint, asked: TokenRequest) -> str:
        headers = {"Accept": "application/json"}
        if asked.authorization:
            headers["Authorization"] = asked.authorization
        # A redirect is not followed: it would carry the credentials to wherever the answer points.
        response = self._session.request(
            "POST" if asked.form else "GET",
            asked.realm,
            params=dict(asked.parameters),
            data=dict(asked.form) if asked.form else None,
            headers=headers,
            **self._options(asked.realm, endpoint),
        )
        if response.status_code >= 400:
            raise refusal(response, self._reference)
        with response:
            data = response.raw.read(_TOKEN_LIMIT, decode_content=True)
        try:
            return token_of(json.loads(data))
        except (ValueError, RecursionError) as error:
            raise Unauthorized(f"authorization server {urlsplit(asked.realm).netloc} answered no JSON") from error

    def _follow(
        self, endpoint: Endpoint, path: str, headers: Mapping[str, str], authorization: str
    ) -> requests.Response:
        """The answer after redirects. The `Authorization` goes to the endpoint's own origin and nowhere else."""
        url = f"{endpoint.url}/v2/{path}"
        for _ in range(_HOPS):
            sent = {**headers, "User-Agent": "havre", "Accept-Encoding": "identity"}
            if authorization and _origin(url) == _origin(endpoint.url):
                sent["Authorization"] = authorization
            response = self._session.get(url, headers=sent, **self._options(url, endpoint))
            location = response.headers.get("Location", "")
            if response.status_code not in _REDIRECTS or not location:
                return response
            response.close()
            target = urljoin(url, location)
            self._check_redirect(url, target)
            url = target
        raise Unavailable(f"registry {self._reference.domain} redirects without end")

    def _check_redirect(self, url: str, target: str) -> None:
        parts = urlsplit(target)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unavailable(f"registry {self._reference.domain} redirects to {target[:200]!r}: refused")
        downgrade = url.startswith("https:") and parts.scheme == "http"
        if downgrade and not self._hosts.is_insecure(parts.netloc):
            raise Unavailable(f"registry {self._reference.domain} redirects to plain HTTP at {parts.netloc}: refused")

    def _options(self, url: str, endpoint: Endpoint) -> RequestOptions:
        own = _origin(url) == _origin(endpoint.url)
        verify = endpoint.verify if own else not self._hosts.is_insecure(urlsplit(url).netloc)
        return environment_options(url, verify=verify, patience=self._patience)


def environment_options(url: str, *, verify: bool, patience: Patience) -> RequestOptions:
    """How to send a request for *url*: what requests would else take from the environment, decided here."""
    loopback = is_loopback(urlsplit(url).hostname or "")
    return {
        "stream": True,
        "allow_redirects": False,
        "timeout": (patience.connect, patience.read),
        "verify": _certificates() if verify else False,
        "proxies": {} if loopback else get_environ_proxies(url),
    }


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _certificates() -> str | bool:
    """The certificates that the host's administrator trusts; those of the `certifi` package where there are none."""
    named = os.environ.get("SSL_CERT_FILE", "")
    return next((path for path in (named, *_SYSTEM_CERTIFICATES) if path and Path(path).is_file()), True)


def _retry_after(response: requests.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
