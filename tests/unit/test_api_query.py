"""Parameters, paths and versions of requests."""

from __future__ import annotations

import pytest

from engine.api import version
from engine.api.query import Query
from engine.api.router import Router, Routes
from engine.api.status import status_of
from engine.errors import (
    AmbiguousId,
    CommandUnusable,
    ContainerNotFound,
    EngineError,
    InvalidParameter,
    ManifestUnknown,
    NotModified,
    NotRunning,
    PortInUse,
)


@pytest.mark.parametrize("text", ["1", "true", "True", "yes", "T"])
def test_flags_that_mean_yes(text: str) -> None:
    assert Query({"all": text}).flag("all")


@pytest.mark.parametrize("text", ["", "0", "false", "False", "no", "none"])
def test_flags_that_mean_no(text: str) -> None:
    assert not Query({"all": text}).flag("all", default=True)


def test_a_flag_that_is_absent_has_its_default() -> None:
    assert Query({}).flag("all", default=True)
    assert not Query({}).flag("all")


@pytest.mark.parametrize(
    "text",
    ['{"label":{"a=b":true}}', '{"label":["a=b"]}', '{"label":"a=b"}'],
)
def test_filters_in_every_spelling(text: str) -> None:
    assert Query({"filters": text}).filters() == {"label": ("a=b",)}


@pytest.mark.parametrize("text", ["x", "[]", '{"label":3}', '{"label":[{}]}', "[" * 100_000])
def test_filters_that_are_none(text: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid filters"):
        Query({"filters": text}).filters()


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1795462025", 1_795_462_025_000_000_000),
        ("1795462025.5", 1_795_462_025_500_000_000),
        ("1795462025.000000001", 1_795_462_025_000_000_001),
        ("2026-11-23T19:27:05Z", 1_795_462_025_000_000_000),
        ("2026-11-23T20:27:05.000000001+01:00", 1_795_462_025_000_000_001),
        ("", None),
        ("0", None),
    ],
)
def test_instants(text: str, instant: int | None) -> None:
    assert Query({"since": text}).instant("since") == instant


def test_wrong_numbers_and_times_name_their_parameter() -> None:
    with pytest.raises(InvalidParameter, match="limit: parsing"):
        Query({"limit": "x"}).integer("limit")
    with pytest.raises(InvalidParameter, match="since"):
        Query({"since": "yesterday"}).instant("since")


async def _handler(_call: object) -> None:
    return None


def _router() -> Router:
    routes = Routes()
    for pattern in ("/images/json", "/images/{name*}/json", "/images/{name*}", "/containers/{id}/json", "/_ping"):
        routes.get(pattern)(_handler)  # type: ignore[arg-type]
    return Router(routes)


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("/images/json", {}),
        ("/images/127.0.0.1:5001/team/x/json", {"name": "127.0.0.1:5001/team/x"}),
        ("/images/debian", {"name": "debian"}),
        ("/containers/web/json", {"id": "web"}),
        ("/_ping", {}),
    ],
)
def test_paths_lead_to_their_routes(path: str, arguments: dict[str, str]) -> None:
    found = _router().find("GET", path)
    assert found is not None
    assert found[1] == arguments


@pytest.mark.parametrize("path", ["/", "", "/nosuch", "/containers/a/b/json", "/containers//json", "/_ping/"])
def test_paths_that_lead_nowhere(path: str) -> None:
    assert _router().find("GET", path) is None
    assert _router().find("PATCH", "/_ping") is None


def test_versions() -> None:
    assert version.parse("1.24") == (1, 24)
    assert version.parse("1.44") == (1, 44)
    with pytest.raises(
        InvalidParameter, match=r"client version 1.45 is too new. Maximum supported API version is 1.44"
    ):
        version.parse("1.45")
    with pytest.raises(
        InvalidParameter, match=r"client version 1.23 is too old. Minimum supported API version is 1.24"
    ):
        version.parse("1.23")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotModified(""), 304),
        (InvalidParameter(""), 400),
        (CommandUnusable("", exit_code=127), 400),
        (ContainerNotFound("x"), 404),
        (ManifestUnknown(""), 404),
        (NotRunning(""), 409),
        (AmbiguousId("a"), 500),
        (PortInUse(""), 500),
        (EngineError(""), 500),
    ],
)
def test_statuses(error: EngineError, status: int) -> None:
    assert status_of(error) == status


def test_every_error_has_a_status() -> None:
    def all_kinds(kind: type[EngineError]) -> list[type[EngineError]]:
        return [kind, *(each for child in kind.__subclasses__() for each in all_kinds(child))]

    for kind in all_kinds(EngineError):
        assert 300 <= status_of(kind.__new__(kind)) <= 503
