"""Names of images, parsed once and carried as values afterwards.

The grammar and its defaults are those of Docker clients (distribution/reference, "normalize" and "regexp"), so that a
name means here what it means to them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Self

from engine.errors import InvalidParameter
from engine.types import Digest, is_id, printable

DEFAULT_DOMAIN: Final = "docker.io"
DEFAULT_TAG: Final = "latest"

_LEGACY_DOMAIN: Final = "index.docker.io"
_OFFICIAL: Final = "library/"
_PATH_LIMIT: Final = 255
_TEXT_LIMIT: Final = 1024

_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = rf"{_PATH_PART}(?:/{_PATH_PART})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(rf"(?P<domain>{_DOMAIN})/(?P<path>{_PATH})(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?")


@dataclass(frozen=True, slots=True)
class Reference:
    """A name of an image: `docker.io/library/debian:latest`, `host:5000/team/x@sha256:…`.

    `tag` is empty when the text gave a digest only. When both are there the digest decides what is meant.
    """

    domain: str
    """The registry, with its port: `docker.io`, `127.0.0.1:5000`."""
    path: str
    """The repository in it: `library/debian`."""
    tag: str = DEFAULT_TAG
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reference that *text* means to a Docker client; `InvalidParameter` in Docker's words when it means none.

        A text with neither tag nor digest means the tag `latest`.
        """
        if is_id(text):
            raise InvalidParameter(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
        domain, remainder = _split_domain(text)
        repository = remainder.partition(":")[0]
        if repository.lower() != repository:
            raise InvalidParameter(
                f"invalid reference format: repository name ({printable(repository)}) must be lowercase"
            )
        match = _REFERENCE.fullmatch(f"{domain}/{remainder}") if len(text) <= _TEXT_LIMIT else None
        if match is None:
            raise InvalidParameter("invalid reference format")
        if len(match["path"]) > _PATH_LIMIT:
            raise InvalidParameter(
                f"invalid reference format: repository name must not be more than {_PATH_LIMIT} characters"
            )
        digest = _digest(match["digest"]) if match["digest"] else None
        tag = match["tag"] or ("" if digest else DEFAULT_TAG)
        return cls(domain=match["domain"], path=match["path"], tag=tag, digest=digest)

    @property
    def name(self) -> str:
        """Registry and repository: `docker.io/library/debian`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The name as people write it: `debian`, `team/x`, `127.0.0.1:5000/x`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        official = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in official else official

    @property
    def familiar(self) -> str:
        """The whole as people write it: `debian:latest`, `debian@sha256:…`."""
        return self.familiar_name + self._suffix

    @property
    def tag_or_digest(self) -> str:
        """What a registry is asked for: the digest where there is one, else the tag."""
        return self.digest or self.tag

    def with_digest(self, digest: Digest) -> Self:
        """The same repository at *digest*, without a tag."""
        return replace(self, tag="", digest=digest)

    def __str__(self) -> str:
        return self.name + self._suffix

    def __lt__(self, other: Reference) -> bool:
        return str(self) < str(other)

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def names_all(text: str) -> bool:
    """Whether *text*, a name that can be parsed, has neither tag nor digest: it may mean all of its repository."""
    return ":" not in text.rpartition("/")[2] and "@" not in text


def _split_domain(text: str) -> tuple[str, str]:
    """The registry that *text* names or implies, and the rest.

    The first part is a registry only when it could not be the name of a user: it is `localhost`, has a dot, a colon or
    a capital letter.
    """
    first, slash, rest = text.partition("/")
    if not slash:
        return DEFAULT_DOMAIN, _OFFICIAL + text
    if first in (_LEGACY_DOMAIN, DEFAULT_DOMAIN):
        domain, remainder = DEFAULT_DOMAIN, rest
    elif first == "localhost" or "." in first or ":" in first or first.lower() != first:
        domain, remainder = first, rest
    else:
        domain, remainder = DEFAULT_DOMAIN, text
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = _OFFICIAL + remainder
    return domain, remainder


def _digest(text: str) -> Digest:
    algorithm, _, digits = text.partition(":")
    if algorithm != "sha256":
        raise InvalidParameter(f"unsupported digest algorithm: {algorithm!r} in the reference, give a sha256")
    if len(digits) != 64:
        raise InvalidParameter(f"invalid checksum digest length: sha256 has 64 digits, not {len(digits)}")
    return Digest.parse(text)
