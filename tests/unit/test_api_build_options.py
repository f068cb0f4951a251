"""What `POST /havre/v1/build` takes beyond Docker's parameters, and the header that brings secrets."""

from __future__ import annotations

import base64
import re

import pytest
from multidict import MultiDict

from engine.api import build_options
from engine.api.query import Query
from engine.build.options import BuildOptions
from engine.build.secrets import LARGEST, MOST
from engine.errors import InvalidParameter


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def parsed(*headers: str) -> BuildOptions:
    return build_options.parse(Query(MultiDict()), registries="", secrets=headers)


def test_secrets_come_in_a_header() -> None:
    value = bytes(range(256))
    urlsafe = base64.urlsafe_b64encode(value).decode()
    options = parsed(f"npm/rc={encoded(value)}, empty=", f"other={urlsafe}")
    assert options.secrets == {"npm/rc": value, "empty": b"", "other": value}
    assert encoded(value)[:20] not in repr(options)
    assert parsed().secrets == {}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("c2VjcmV0", "a field is not ID=BASE64"),
        ("=c2VjcmV0", "a field is not ID=BASE64"),
        ("a b=c2VjcmV0", "a field is not ID=BASE64"),
        ("a=c2VjcmV0!", "a is no base64"),
        ("a=c2VjcmV0c", "a is no base64"),
        ("a=c2VjcmV0,a=c2VjcmV0", "a is there twice"),
        (f"{'i' * 101}=c2VjcmV0", "at most 100"),
        (f"a={encoded(b'c2VjcmV0' * (LARGEST // 8 + 1))}", f"than {LARGEST} bytes"),
        (",".join(f"a{number}=c2VjcmV0" for number in range(MOST + 1)), f"more than {MOST} secrets"),
    ],
)
def test_a_header_that_is_wrong_is_told_without_what_is_in_it(header: str, words: str) -> None:
    with pytest.raises(InvalidParameter, match=re.escape(words)) as raised:
        parsed(header)
    assert "c2VjcmV0" not in str(raised.value)


def test_where_a_build_may_reach() -> None:
    query = Query(MultiDict([("reach", "public"), ("registry", "a:5000"), ("registry", "b")]))
    options = build_options.parse_own(BuildOptions(), query)
    assert (options.public_only, options.registries) == (True, frozenset({"a:5000", "b"}))
    assert not build_options.parse_own(BuildOptions(), Query(MultiDict())).public_only
    for wrong in ([("reach", "private")], [("registry", "x")] * 101):
        with pytest.raises(InvalidParameter, match=f"^{wrong[0][0]}: "):
            build_options.parse_own(BuildOptions(), Query(MultiDict(wrong)))
