"""Which versions of the API are spoken, and what this program calls itself."""

from __future__ import annotations

from typing import Final

from engine import __version__
from engine.errors import InvalidParameter

ApiVersion = tuple[int, int]

PRODUCT_VERSION: Final = __version__
NEWEST: Final[ApiVersion] = (1, 44)
OLDEST: Final[ApiVersion] = (1, 24)
MULTIPLEXED_TYPE: Final[ApiVersion] = (1, 42)
"""The first in which a stream of frames has a media type of its own."""


def text(version: ApiVersion) -> str:
    return f"{version[0]}.{version[1]}"


def parse(asked: str) -> ApiVersion:
    """The version in a path such as `/v1.41/…`; `InvalidParameter` in Docker's words outside of what is spoken."""
    major, _, minor = asked.partition(".")
    version = (int(major), int(minor))
    if version > NEWEST:
        raise InvalidParameter(f"client version {asked} is too new. Maximum supported API version is {text(NEWEST)}")
    if version < OLDEST:
        raise InvalidParameter(
            f"client version {asked} is too old. Minimum supported API version is {text(OLDEST)}, "
            "please upgrade your client to a newer version"
        )
    return version
