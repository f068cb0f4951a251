"""One registry over HTTP: which endpoint answers, tokens, redirects, patience.

A request goes out as `transport.request("GET", path, …)` and comes back as an answer below 400 or as an engine error.
Endpoints, credentials and retries are decided here and nowhere else; what an answer's body means is the client's
business.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypedDict
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import get_environ_proxies

from engine.errors import Cancelled, EngineError, ManifestUnknown, NoCredentials, Unauthorized, Unavailable
from engine.registry.auth import (
    RegistryAuth,
    TokenRequest,
    identity_token_of,
    parse_challenges,
    token_of,
    token_request,
)
from engine.registry.connections import SocketSwitch, new_session
from engine.registry.failures import unreachable
from engine.registry.hosts import Endpoint, RegistryHosts, is_loopback
from engine.registry.patience import NETWORK_ERRORS, Pace, Patience
from engine.registry.purpose import Purpose
from engine.registry.reach import PublicReach

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEPING: Final = frozenset({307, 308})
"""Those after which a request is sent again as it was, with its body (RFC 9110, 15.4)."""
_SAFE: Final = frozenset({"GET", "HEAD"})
_HOPS: Final = 5
_TOKEN_LIMIT: Final = 1024 * 1024
_SYSTEM_CERTIFICATES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")

Body = Callable[[], bytes | Iterable[bytes]]
"""Makes the body of a request, from its beginning. One of many chunks has a length (`len`)."""


class RequestOptions(TypedDict):
    """The arguments of a request that decide how it is sent."""

    stream: bool
    allow_redirects: bool
    timeout: tuple[float, float]
    verify: bool | str
    proxies: dict[str, str]


class _Wanted(NamedTuple):
    """One request, as the client wants it."""

    method: str
    place: str
    headers: Mapping[str, str]
    body: Body | None
    accepted: frozenset[int]
    attempts: int
    storing: bool


class Transport:
    """Requests for one *purpose*. Any thread may use it; close it in the end."""

    def __init__(
        self,
        purpose: Purpose,
        *,
        hosts: RegistryHosts,
        auth: RegistryAuth | None = None,
        patience: Patience | None = None,
        reach: PublicReach | None = None,
    ) -> None:
        """*reach* limits where the registry may be, and lead; the mirrors of *hosts* are beyond doubt."""
        self._purpose = purpose
        self._hosts = hosts
        self._auth = auth
        self._cancelled = threading.Event()
        self._patience = patience or Patience()
        self._switch = SocketSwitch()
        self._lock = threading.Lock()
        self._endpoints = tuple(each for each in hosts.endpoints(purpose.domain) if purpose.mirrors or not each.mirror)
        if reach is not None:
            reach = reach.trusting(frozenset(_origin(each.url)[1:] for each in self._endpoints if each.mirror))
        self._session = new_session(self._switch, hosts.trust(self._endpoints), reach)
        self._reached: set[str] = set()
        """URLs of the endpoints that have answered."""
        self._authorization: dict[str, str] = {}
        self.identity_token = ""
        """What the token server gave to be kept, where the purpose asks for it."""

    def close(self) -> None:
        self._session.close()

    def abort(self) -> None:
        """Cut every connection, so that whoever waits for one gets `Cancelled` at once."""
        self._cancelled.set()
        self._switch.turn_off()

    def check(self) -> None:
        """`Cancelled` when the caller has asked to stop."""
        if self._cancelled.is_set():
            raise Cancelled(f"{self._purpose.name} cancelled")

    def pause(self, attempt: int, *, wanted: float = 0.0) -> None:
        """Wait before attempt number *attempt* + 1; `Cancelled` as soon as the caller has asked to stop."""
        seconds = min(max(wanted, self._patience.first_pause * 2 ** (attempt - 1)), self._patience.longest_pause)
        self._cancelled.wait(seconds)
        self.check()

    @property
    def attempts(self) -> int:
        return self._patience.attempts

    def get(self, path: str, *, headers: Mapping[str, str]) -> requests.Response:
        """`request` of a GET."""
        return self.request("GET", path, headers=headers)

    def request(
        self,
        method: str,
        place: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        accepted: Collection[int] = (),
        once: bool = False,
        storing: bool = False,
    ) -> requests.Response:
        """The open answer, of a status under 400 or one of *accepted*. Close it.

        *place* is a path below `/v2/`, or a URL that the registry has given. *body* is called for each attempt. With
        *once* there is only one, because the next would have to send something else. A registry that is *storing* what
        it got may take longer. Raises what the purpose makes of
        a refusal, `Unavailable` when no endpoint answers.
        """
        attempts = 1 if once else self.attempts
        wanted = _Wanted(method, place, headers or {}, body, frozenset(accepted), attempts, storing)
        while True:
            endpoint, *others = self._endpoints
            try:
                return self._patiently(endpoint, wanted)
            except (Unavailable, ManifestUnknown, Unauthorized) as error:
                # A mirror may lack what the registry itself has; plain HTTP comes after TLS that nobody answered.
                silent = isinstance(error, Unavailable) and endpoint.url not in self._reached
                if not others or not (endpoint.mirror or silent):
                    raise
                self._give_up(endpoint)

    def _give_up(self, endpoint: Endpoint) -> None:
        with self._lock:
            # Another thread may have been first to notice.
            if self._endpoints[0] == endpoint:
                self._endpoints = self._endpoints[1:]

    def _patiently(self, endpoint: Endpoint, wanted: _Wanted) -> requests.Response:
        attempt = 0
        while True:
            attempt += 1
            self.check()
            pause = 0.0
            failure: EngineError
            try:
                response = self._authorised(endpoint, wanted)
            except NETWORK_ERRORS as error:
                self.check()
                failure = unreachable(self._purpose.domain, error)
                # The first contact decides at once: a mistyped address should not take seconds to be refused.
                if endpoint.url not in self._reached:
                    raise failure from error
            else:
                self._reached.add(endpoint.url)
                if response.status_code < 400 or response.status_code in wanted.accepted:
                    return response
                pause = _retry_after(response)
                transient = response.status_code == 429 or response.status_code in (500, 502, 503, 504)
                failure = self._purpose.refused(response)
                if not transient:
                    raise failure
            if attempt >= wanted.attempts:
                raise failure
            self.pause(attempt, wanted=pause)

    def _authorised(self, endpoint: Endpoint, wanted: _Wanted) -> requests.Response:
        """The answer to the request, asked again with credentials when the first answer is 401."""
        used = self._authorization.get(endpoint.url) or self._given(endpoint)
        response = self._follow(endpoint, wanted, used)
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
        return self._follow(endpoint, wanted, fresh)

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
                request = token_request(
                    challenge,
                    registry_url=endpoint.url,
                    scopes=self._purpose.scopes,
                    auth=auth,
                    known=self._hosts.token_servers,
                    keep=self._purpose.keep,
                )
                return f"Bearer {self._token(endpoint, request)}"
            if challenge.scheme == "basic" and not refused:
                if auth is None or not auth.username:
                    raise NoCredentials(f"no basic auth credentials for {self._purpose.domain}: log in first")
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
            raise self._purpose.refused(response)
        with response:
            data = self.pace(response).read_all(_TOKEN_LIMIT)
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise Unauthorized(f"authorization server {urlsplit(asked.realm).netloc} answered no JSON") from error
        self.identity_token = identity_token_of(document)
        return token_of(document)

    def _follow(self, endpoint: Endpoint, wanted: _Wanted, authorization: str) -> requests.Response:
        """The answer after redirects. The `Authorization` goes to the endpoint's own origin and nowhere else."""
        url = urljoin(f"{endpoint.url}/v2/", wanted.place)
        if _origin(url) != _origin(endpoint.url):
            self._check_redirect(endpoint.url, url)
        for _ in range(_HOPS):
            sent = {**wanted.headers, "User-Agent": "havre", "Accept-Encoding": "identity"}
            if authorization and _origin(url) == _origin(endpoint.url):
                sent["Authorization"] = authorization
            body = wanted.body() if wanted.body else None
            response = self._session.request(
                wanted.method, url, headers=sent, data=body, **self._options(url, endpoint, storing=wanted.storing)
            )
            location = response.headers.get("Location", "")
            redirected = response.status_code in (_REDIRECTS if wanted.method in _SAFE else _KEEPING)
            if not redirected or not location:
                return response
            response.close()
            target = urljoin(url, location)
            self._check_redirect(url, target)
            url = target
        raise Unavailable(f"registry {self._purpose.domain} redirects without end")

    def _check_redirect(self, url: str, target: str) -> None:
        parts = urlsplit(target)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unavailable(f"registry {self._purpose.domain} redirects to {target[:200]!r}: refused")
        downgrade = url.startswith("https:") and parts.scheme == "http"
        if downgrade and not self._hosts.is_insecure(parts.netloc):
            raise Unavailable(f"registry {self._purpose.domain} redirects to plain HTTP at {parts.netloc}: refused")

    def pace(self, response: requests.Response) -> Pace:
        """Read the body of *response* by this."""
        return Pace(response, peer=f"registry {self._purpose.domain}", patience=self._patience)

    def _options(self, url: str, endpoint: Endpoint, *, storing: bool = False) -> RequestOptions:
        own = _origin(url) == _origin(endpoint.url)
        verify = endpoint.verify if own else not self._hosts.is_insecure(urlsplit(url).netloc)
        wait = self._patience.storing if storing else self._patience.read
        return environment_options(url, verify=verify, timeout=(self._patience.connect, wait))


def environment_options(url: str, *, verify: bool, timeout: tuple[float, float]) -> RequestOptions:
    """How to send a request for *url*: what requests would else take from the environment, decided here."""
    loopback = is_loopback(urlsplit(url).hostname or "")
    return {
        "stream": True,
        "allow_redirects": False,
        "timeout": timeout,
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
