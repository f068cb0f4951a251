"""What a pull asks of a registry: a manifest by tag or digest, and blobs (distribution-spec, "Pulling")."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

import requests

from engine.errors import DigestMismatch, InvalidParameter, Unavailable
from engine.registry.auth import RegistryAuth
from engine.registry.failures import unreachable
from engine.registry.hosts import RegistryHosts
from engine.registry.media import ACCEPTED, MANIFEST_LIMIT, Descriptor, Index, Manifest, parse_document
from engine.registry.patience import NETWORK_ERRORS, Patience
from engine.registry.purpose import pulling
from engine.registry.reach import PublicReach
from engine.registry.reference import Reference
from engine.registry.transport import Transport
from engine.types import Digest

CHUNK: Final = 512 * 1024
"""Bytes read from a blob at a time."""

TAG_LIMIT: Final = 10_000
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedManifest:
    """A manifest or index as the registry sent it, and what it says; `digest` has been verified."""

    digest: Digest
    media_type: str
    data: bytes
    document: Manifest | Index


class RegistryClient:
    """Reads the repository of *reference*. Serves several threads; a context that closes its connections."""

    def __init__(
        self,
        reference: Reference,
        *,
        hosts: RegistryHosts,
        auth: RegistryAuth | None = None,
        patience: Patience | None = None,
        reach: PublicReach | None = None,
    ) -> None:
        """*reach* limits where the registry may be; `None` is anywhere."""
        self._reference = reference
        self._transport = Transport(pulling(reference), hosts=hosts, auth=auth, patience=patience, reach=reach)

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def abort(self) -> None:
        """Cut every connection: calls in progress raise `Cancelled` at once."""
        self._transport.abort()

    def manifest(self, tag_or_digest: str) -> FetchedManifest:
        """The manifest or index of a tag or digest.

        `ManifestUnknown` when the registry has none, `DigestMismatch` when the content is not what was asked for or
        what the registry's own header says, `InvalidParameter` when it is no manifest that this engine reads.
        """
        response = self._transport.get(
            f"{self._reference.path}/manifests/{tag_or_digest}", headers={"Accept": ", ".join(ACCEPTED)}
        )
        data = self._read_all(response, MANIFEST_LIMIT, f"manifest of {self._reference.familiar}")
        digest = Digest.of(data)
        promised = tag_or_digest if ":" in tag_or_digest else response.headers.get("Docker-Content-Digest", "")
        if promised.startswith("sha256:") and promised != digest:
            raise DigestMismatch(f"manifest verification failed for digest {promised}: the registry sent {digest}")
        media_type = response.headers.get("Content-Type", "")
        document = parse_document(data, media_type)
        return FetchedManifest(digest=digest, media_type=media_type, data=data, document=document)

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob, in chunks of at most `CHUNK`, not verified; the consumer checks the digest.

        A connection that breaks is taken up again where it broke. `DigestMismatch` as soon as there are more bytes than
        the descriptor says, or when there are fewer; `Unavailable` when the registry stays away.
        """
        offset, failures = 0, 0
        while offset < descriptor.size or descriptor.size == 0:
            broken: Exception | None = None
            before = offset
            response = self._open(descriptor, offset)
            pace = self._transport.pace(response)
            with response:
                while True:
                    try:
                        chunk = pace.read(CHUNK)
                    except NETWORK_ERRORS as error:
                        broken = error
                        break
                    if not chunk:
                        break
                    offset += len(chunk)
                    if offset > descriptor.size:
                        raise DigestMismatch(
                            f"blob {descriptor.digest} is longer than the {descriptor.size} bytes of its descriptor"
                        )
                    yield chunk
            self._transport.check()
            if offset == descriptor.size:
                return
            failures = failures + 1 if offset == before else 1
            if broken is None or failures >= self._transport.attempts:
                raise self._short(descriptor, offset, broken)
            self._transport.pause(failures)

    def tags(self) -> list[str]:
        """Every tag of the repository, in the registry's order (distribution-spec, "Listing Tags").

        `InvalidParameter` when there are more than `TAG_LIMIT`.
        """
        tags: dict[str, None] = {}
        place = f"{self._reference.path}/tags/list?n={_PAGE}"
        for _ in range(TAG_LIMIT // _PAGE + 1):
            response = self._transport.get(place, headers={"Accept": "application/json"})
            link = response.links.get("next", {}).get("url", "")
            tags |= dict.fromkeys(_tags(self._read_all(response, MANIFEST_LIMIT, "list of tags")))
            if not link:
                return list(tags)
            place = urljoin(response.url, link)
        raise InvalidParameter(f"{self._reference.familiar_name} has more than the {TAG_LIMIT} tags allowed")

    def read_blob(self, descriptor: Descriptor) -> bytes:
        """A whole small blob (a config), verified."""
        if descriptor.size > MANIFEST_LIMIT:
            raise InvalidParameter(
                f"blob {descriptor.digest} has {descriptor.size} bytes, more than the {MANIFEST_LIMIT} allowed"
            )
        data = b"".join(self.blob(descriptor))
        if Digest.of(data) != descriptor.digest:
            raise DigestMismatch(
                f"image config verification failed for digest {descriptor.digest}: the registry sent {Digest.of(data)}"
            )
        return data

    def _open(self, descriptor: Descriptor, offset: int) -> requests.Response:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        response = self._transport.get(f"{self._reference.path}/blobs/{descriptor.digest}", headers=headers)
        if offset and not _resumes_at(response, offset):
            # A registry that ignores ranges sends the whole again: skip what is there already.
            remaining = offset if response.status_code == 200 else 0
            pace = self._transport.pace(response)
            try:
                while remaining:
                    skipped = pace.read(min(CHUNK, remaining))
                    if not skipped:
                        break
                    remaining -= len(skipped)
            except NETWORK_ERRORS as error:
                response.close()
                raise unreachable(self._reference.domain, error) from error
            if remaining or response.status_code != 200:
                response.close()
                raise Unavailable(
                    f"registry {self._reference.domain} cannot resume blob {descriptor.digest.short}: pull again"
                )
        return response

    def _read_all(self, response: requests.Response, limit: int, what: str) -> bytes:
        with response:
            try:
                data = self._transport.pace(response).read_all(limit)
            except NETWORK_ERRORS as error:
                self._transport.check()
                raise unreachable(self._reference.domain, error) from error
        self._transport.check()
        if len(data) > limit:
            raise InvalidParameter(f"{what} has more than the {limit} bytes allowed")
        return data

    def _short(self, descriptor: Descriptor, offset: int, error: Exception | None) -> Exception:
        text = f"blob {descriptor.digest} ended after {offset} of {descriptor.size} bytes"
        if error is None:
            return DigestMismatch(f"{text}: the registry's copy is damaged")
        return Unavailable(f"{text}: {unreachable(self._reference.domain, error)}")


def _resumes_at(response: requests.Response, offset: int) -> bool:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return response.status_code == 206 and match is not None and int(match[1]) == offset


def _tags(data: bytes) -> list[str]:
    try:
        tags = json.loads(data)["tags"] or []
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        raise InvalidParameter(f"the registry's list of tags is malformed: {error}") from error
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InvalidParameter("the registry's list of tags is malformed")
    return tags
