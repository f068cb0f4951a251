"""What a push asks of a registry: whether a blob is there, uploads, manifests (distribution-spec, "Push")."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import BinaryIO, Final
from urllib.parse import urljoin

import requests

from engine.errors import DigestMismatch, InvalidParameter, Unavailable
from engine.registry.auth import RegistryAuth
from engine.registry.hosts import RegistryHosts
from engine.registry.media import Descriptor
from engine.registry.patience import Patience
from engine.registry.purpose import pushing
from engine.registry.reach import PublicReach
from engine.registry.reference import Reference
from engine.registry.transport import Transport
from engine.types import Digest

_PIECE: Final = 256 * 1024
_MISSING: Final = frozenset({404})
_OCTETS: Final = {"Content-Type": "application/octet-stream"}


class Arrival(Enum):
    """How a blob came to be in the repository."""

    UPLOADED = "uploaded"
    EXISTED = "existed"
    MOUNTED = "mounted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    how: Arrival
    repository: str = ""
    """The one that a mounted blob was taken from."""


class RegistryUploader:
    """Writes to the repository of *reference*. Serves several threads; a context that closes its connections.

    *mounted_from* are repositories of the same registry that may have blobs already.
    """

    def __init__(
        self,
        reference: Reference,
        *,
        hosts: RegistryHosts,
        auth: RegistryAuth | None = None,
        patience: Patience | None = None,
        reach: PublicReach | None = None,
        mounted_from: Collection[str] = (),
    ) -> None:
        """*reach* limits where the registry may be; `None` is anywhere."""
        self._reference = reference
        purpose = pushing(reference, mounted_from=mounted_from)
        self._transport = Transport(purpose, hosts=hosts, auth=auth, patience=patience, reach=reach)

    def __enter__(self) -> RegistryUploader:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def abort(self) -> None:
        """Cut every connection: calls in progress raise `Cancelled` at once."""
        self._transport.abort()

    def has_blob(self, digest: Digest) -> bool:
        path = f"{self._reference.path}/blobs/{digest}"
        with self._transport.request("HEAD", path, accepted=_MISSING) as response:
            return response.status_code not in _MISSING

    def blob(
        self,
        blob: Descriptor,
        source: Callable[[], BinaryIO],
        *,
        mounted_from: Collection[str],
        progress: Callable[[int], None],
    ) -> Arrived:
        """Bring *blob* into the repository, unless it is there or can be mounted from one of *mounted_from*.

        *source* opens its bytes; *progress* hears how many the registry has. An upload that breaks goes on where the
        registry says that it broke. `Unavailable` when it stays away.
        """
        if self.has_blob(blob.digest):
            return Arrived(how=Arrival.EXISTED)
        session = ""
        for repository in mounted_from:
            mounted, session = self._begin(f"mount={blob.digest}&from={repository}")
            if mounted:
                return Arrived(how=Arrival.MOUNTED, repository=repository)
        self._upload(blob, source, session or self._begin()[1], progress)
        return Arrived(how=Arrival.UPLOADED)

    def manifest(self, tag_or_digest: str, data: bytes, media_type: str) -> None:
        """Put a manifest, whose blobs are all there, under a tag. `DigestMismatch` when the registry got another."""
        response = self._transport.request(
            "PUT",
            f"{self._reference.path}/manifests/{tag_or_digest}",
            headers={"Content-Type": media_type},
            body=lambda: data,
            storing=True,
        )
        with response:
            told = response.headers.get("Docker-Content-Digest", "")
        if told.startswith("sha256:") and told != Digest.of(data):
            raise DigestMismatch(f"registry {self._reference.domain} stored {told} instead of {Digest.of(data)}")

    def _begin(self, query: str = "") -> tuple[bool, str]:
        """Begin an upload: whether the blob was mounted instead, and the address of the session."""
        path = f"{self._reference.path}/blobs/uploads/"
        with self._transport.request("POST", f"{path}?{query}" if query else path, body=lambda: b"") as response:
            return response.status_code == 201, "" if response.status_code == 201 else self._session(response)

    def _session(self, response: requests.Response, before: str = "") -> str:
        location = response.headers.get("Location", "")
        if not location:
            if before:
                return before
            raise Unavailable(f"registry {self._reference.domain} began an upload without telling where to")
        return urljoin(response.url, location)

    def _upload(
        self, blob: Descriptor, source: Callable[[], BinaryIO], session: str, progress: Callable[[int], None]
    ) -> None:
        offset, failures = 0, 0
        while True:
            try:
                if offset < blob.size or blob.size == 0:
                    session = self._send(blob, source, session, offset, progress)
                    offset = blob.size
                self._finish(blob, session)
                return
            except Unavailable as error:
                failures += 1
                if failures >= self._transport.attempts:
                    raise Unavailable(f"push of blob {blob.digest.short} broke off: {error}") from error
                self._transport.pause(failures)
                if self.has_blob(blob.digest):
                    return  # it was the answer that got lost
                reached, session = self._resume(session)
                if reached > blob.size:
                    raise DigestMismatch(
                        f"registry {self._reference.domain} says that it has {reached} of the {blob.size} bytes of "
                        f"blob {blob.digest.short}"
                    ) from error
                if reached > offset and offset < blob.size:
                    failures = 1
                offset = reached
                progress(offset)

    def _send(
        self,
        blob: Descriptor,
        source: Callable[[], BinaryIO],
        session: str,
        offset: int,
        progress: Callable[[int], None],
    ) -> str:
        """Send the rest of the blob in one request, and return the session's next address."""
        headers = dict(_OCTETS)
        if offset:
            headers["Content-Range"] = f"{offset}-{blob.size - 1}"
        with source() as file:
            response = self._transport.request(
                "PATCH",
                session,
                headers=headers,
                body=lambda: _Rest(file, offset, blob.size, progress, self._transport.check),
                accepted=_MISSING,
                once=True,
                storing=True,
            )
            with response:
                self._check_known(response)
                return self._session(response, session)

    def _resume(self, session: str) -> tuple[int, str]:
        """How many bytes the registry has, and where to go on; a session that it does not know any more begins anew.

        So does one of which it has `0-0`: that is told of one byte and of none.
        """
        with suppress(InvalidParameter):  # not every registry tells
            with self._transport.request("GET", session, accepted=_MISSING) as response:
                match = re.fullmatch(r"(?:bytes=)?0-([1-9]\d{0,18})", response.headers.get("Range", ""))
                if match and response.status_code not in _MISSING:
                    return int(match[1]) + 1, self._session(response, session)
        return 0, self._begin()[1]

    def _finish(self, blob: Descriptor, session: str) -> None:
        joint = "&" if "?" in session else "?"
        try:
            with self._transport.request(
                "PUT",
                f"{session}{joint}digest={blob.digest}",
                headers=_OCTETS,
                body=lambda: b"",
                accepted=_MISSING,
                once=True,
                storing=True,
            ) as response:
                self._check_known(response)
        except InvalidParameter as error:
            raise DigestMismatch(
                f"registry {self._reference.domain} did not take blob {blob.digest}: {error}"
            ) from error

    def _check_known(self, response: requests.Response) -> None:
        """A registry that was restarted may have forgotten its uploads: they begin anew."""
        if response.status_code in _MISSING:
            raise Unavailable(f"registry {self._reference.domain} does not know the upload any more")


class _Rest:
    """The bytes of a file from *offset* on, as the body of a request of known length."""

    def __init__(
        self,
        file: BinaryIO,
        offset: int,
        size: int,
        progress: Callable[[int], None],
        check: Callable[[], None],
    ) -> None:
        self._file = file
        self._offset = offset
        self._size = size
        self._progress = progress
        self._check = check

    def __len__(self) -> int:
        return self._size - self._offset

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(self._offset)
        at = self._offset
        while at < self._size:
            self._check()
            data = self._file.read(min(_PIECE, self._size - at))
            if not data:
                raise DigestMismatch(f"a blob ends after {at} of its {self._size} bytes")
            yield data
            at += len(data)
            self._progress(at)
