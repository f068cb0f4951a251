from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidParameter, Unauthorized
from engine.registry.auth import Challenge, RegistryAuth, parse_challenges, token_of, token_request
from engine.registry.hosts import Endpoint, RegistryHosts, is_loopback

HUB = Challenge(scheme="bearer", parameters={"realm": "https://auth.docker.io/token", "service": "registry.docker.io"})
USER = RegistryAuth(username="ada", password="secret")
SCOPE = "repository:library/debian:pull"


def header(values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


def test_challenges() -> None:
    assert parse_challenges('Bearer realm="https://a/t",service="s \\"x\\"",scope="a:b:pull,push"') == (
        Challenge(scheme="bearer", parameters={"realm": "https://a/t", "service": 's "x"', "scope": "a:b:pull,push"}),
    )
    assert [each.scheme for each in parse_challenges('Negotiate, Basic realm="x", Bearer realm=y')] == [
        "negotiate",
        "basic",
        "bearer",
    ]
    assert parse_challenges("") == ()
    assert parse_challenges('="') == ()


@given(st.text(max_size=60) | st.from_regex(r'[A-Za-z ,="\\]{0,60}'))
def test_any_header_is_read_without_an_error(text: str) -> None:
    assert isinstance(parse_challenges(text), tuple)


def test_anonymous_token() -> None:
    request = token_request(HUB, registry_url="https://registry-1.docker.io", scopes=[SCOPE], auth=None)
    assert request.realm == "https://auth.docker.io/token"
    assert request.parameters == {"service": "registry.docker.io", "scope": (SCOPE,)}
    assert (request.authorization, request.form) == ("", None)


def test_token_of_a_user() -> None:
    request = token_request(HUB, registry_url="https://registry-1.docker.io", scopes=[SCOPE], auth=USER)
    assert request.parameters["account"] == "ada"
    assert request.authorization == "Basic " + base64.b64encode(b"ada:secret").decode()


def test_identity_token_is_sent_in_the_body() -> None:
    auth = RegistryAuth(username="ada", identity_token="refresh")
    request = token_request(HUB, registry_url="https://registry-1.docker.io", scopes=[SCOPE], auth=auth)
    assert (request.parameters, request.authorization) == ({}, "")
    assert request.form
    assert request.form["refresh_token"] == "refresh"


@pytest.mark.parametrize(
    ("realm", "registry", "trusted"),
    [
        ("https://auth.example.org/token", "https://registry.example.org", True),
        ("http://127.0.0.1:5001/token", "http://127.0.0.1:5000", True),
        ("http://localhost:5001/token", "http://127.0.0.1:5000", True),
        ("http://lab:5001/token", "http://lab:5000", True),
        ("http://auth.example.org/token", "http://lab:5000", False),
        ("http://auth.example/token", "https://auth.example", False),
        ("http://127.0.0.1:9/token", "https://registry.example", False),
        ("http://127.0.0.1:9/token", "http://registry.example", False),
        ("https://user@auth.example/token", "https://registry.example", False),
        ("file:///etc/passwd", "http://127.0.0.1:5000", False),
        ("//auth.example/token", "https://registry.example", False),
        ("", "https://registry.example", False),
        ("https://[::1", "https://registry.example", False),
    ],
)
def test_where_credentials_may_go(realm: str, registry: str, trusted: bool) -> None:
    challenge = Challenge(scheme="bearer", parameters={"realm": realm})
    if trusted:
        assert token_request(challenge, registry_url=registry, scopes=[SCOPE], auth=USER).realm == realm
    else:
        with pytest.raises(Unauthorized, match="not reached by TLS"):
            token_request(challenge, registry_url=registry, scopes=[SCOPE], auth=USER)


@pytest.mark.parametrize(
    ("realm", "registry", "of_one_house"),
    [
        ("https://auth.docker.io/token", "https://registry-1.docker.io", True),
        ("https://example.org/token", "https://registry.example.org", True),
        ("https://auth.registry.example.org/token", "https://registry.example.org", True),
        ("https://a.b.example.org/token", "https://registry.b.example.org", True),
        ("https://Auth.Example.org/token", "https://registry.example.org:5000", True),
        ("https://example.org.evil.net/token", "https://registry.example.org", False),
        ("https://evilexample.org/token", "https://registry.example.org", False),
        ("https://other.co.uk/token", "https://example.co.uk", False),
        ("https://evil.org/token", "https://example.org", False),
        ("https://a.example.org/token", "https://registry.b.example.org", False),
        ("https://10.0.0.2/token", "https://10.0.0.1", False),
        ("https://10.0.0.1:8443/token", "https://10.0.0.1", True),
        ("https://auth.example.org/token", "http://127.0.0.1:5000", False),
        ("https://auth/token", "https://registry", False),
    ],
)
def test_credentials_stay_in_the_house(realm: str, registry: str, of_one_house: bool) -> None:
    challenge = Challenge(scheme="bearer", parameters={"realm": realm})
    assert token_request(challenge, registry_url=registry, scopes=[SCOPE], auth=None).authorization == ""
    if of_one_house:
        assert token_request(challenge, registry_url=registry, scopes=[SCOPE], auth=USER).authorization
        return
    with pytest.raises(Unauthorized, match="does not seem to belong to it"):
        token_request(challenge, registry_url=registry, scopes=[SCOPE], auth=USER)
    known = [realm.split("/")[2]]
    assert token_request(challenge, registry_url=registry, scopes=[SCOPE], auth=USER, known=known).authorization


@pytest.mark.parametrize("document", [{}, [], None, {"token": 5}, {"token": "a\r\nb"}, {"token": "ü"}])
def test_answers_without_a_token(document: object) -> None:
    with pytest.raises(Unauthorized, match="did not include a token"):
        token_of(document)


def test_tokens() -> None:
    assert token_of({"token": "a"}) == token_of({"access_token": "a"}) == "a"


def test_the_header_of_dockers_clients() -> None:
    assert RegistryAuth.from_header("") is None
    assert RegistryAuth.from_header("e30=") is None
    assert RegistryAuth.from_header("e30") is None
    values = {"username": "ada", "password": "sé?>cret", "serveraddress": "h:5000", "email": None}
    assert RegistryAuth.from_header(header(values)) == RegistryAuth(
        username="ada", password="sé?>cret", server_address="h:5000"
    )
    assert RegistryAuth.from_header(header({"serveraddress": "h:5000"})) is None


@pytest.mark.parametrize("text", ["***", header([]), header({"username": 1}), "bnVsbA==", "x" * 70_000])
def test_bad_headers_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match=r"invalid (X-Registry-Auth header|credentials)"):
        RegistryAuth.from_header(text)


def test_secrets_stay_out_of_logs() -> None:
    assert "secret" not in repr(USER)
    assert "secret" not in repr(RegistryAuth(identity_token="secret", registry_token="secret"))
    assert USER.basic not in repr(
        token_request(HUB, registry_url="https://registry-1.docker.io", scopes=[SCOPE], auth=USER)
    )


def test_endpoints() -> None:
    hosts = RegistryHosts(
        mirrors=("https://mirror.example/", "http://127.0.0.1:5001"), insecure=("lab:5000", "old", "10.1.0.0/16")
    )
    assert [each.url for each in hosts.endpoints("docker.io")] == [
        "https://mirror.example",
        "http://127.0.0.1:5001",
        "https://registry-1.docker.io",
    ]
    assert [each.mirror for each in hosts.endpoints("docker.io")] == [True, True, False]
    assert hosts.endpoints("example.com") == (Endpoint(url="https://example.com"),)
    both = ["https://{}", "http://{}"]
    for domain in ("127.0.0.1:5000", "localhost:5000", "[::1]:5000", "lab:5000", "old:7", "old", "10.1.2.3:5000"):
        endpoints = hosts.endpoints(domain)
        assert [each.url for each in endpoints] == [url.format(domain) for url in both]
        assert not any(each.verify for each in endpoints)
    assert [each.url for each in hosts.endpoints("127.0.0.1:80")] == ["http://127.0.0.1:80"]
    assert [each.url for each in hosts.endpoints("127.0.0.1:443")] == ["https://127.0.0.1:443"]
    assert hosts.endpoints("10.2.0.1:5000")[0].verify
    assert hosts.endpoints("lab:5001")[0].verify


@pytest.mark.parametrize("mirror", ["mirror.example", "ftp://mirror.example", "https://m/path", "https://u@m"])
def test_bad_mirrors(mirror: str) -> None:
    with pytest.raises(InvalidParameter, match="registry mirror"):
        RegistryHosts(mirrors=(mirror,))


def test_bad_network() -> None:
    with pytest.raises(InvalidParameter, match="insecure registry"):
        RegistryHosts(insecure=("10.0.0.0/99",))


def test_loopback_is_told_without_a_resolver() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost")))
    assert not any(map(is_loopback, ("10.0.0.1", "example.com", "localhost.example.com", "")))
