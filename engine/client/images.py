"""Images: which there are, and the calls that bring, send, name and remove them."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Final, Self
from urllib.parse import quote

import docker.auth
import docker.errors
import docker.utils
import requests

from engine.client import errors, parse
from engine.client.connection import Connection, Filters, filters_of, filters_text
from engine.client.model import Auth, HistoryEntry, ImageDetail, ImageSummary, PublicOnly, RemovedImage
from engine.client.pull import Pull

Upload = Iterable[bytes] | IO[bytes]
"""An archive to be sent: an open file, or chunks."""

_CHUNK: Final = 1024 * 1024
_DOCKER_HUB: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_TAR: Final[Mapping[str, str]] = {"Content-Type": "application/x-tar"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedImages:
    """What a prune took away, and the bytes that it freed."""

    removed: tuple[RemovedImage, ...]
    reclaimed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUsage:
    """What one image takes of the disk, in bytes; `compressed` is of compressed layers that no other image has."""

    id: str
    tags: tuple[str, ...]
    size: int
    shared: int
    unique: int
    compressed: int
    containers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesUsage:
    """What all images take of the disk, in bytes, each layer once."""

    images: tuple[ImageUsage, ...]
    layers: int
    compressed: int
    """Of compressed layers and documents; 0 where the endpoint keeps none."""
    reclaimable: int
    """What comes free when all images without containers are removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """What a registry has under a name."""

    digest: str
    media_type: str
    size: int
    platforms: tuple[str, ...]
    """`linux/amd64` and the like; empty where the registry's document does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a registry answered to credentials that it accepts."""

    status: str
    identity_token: str = ""
    """To be kept instead of the password, where the registry gives one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    name: str
    description: str
    stars: int
    official: bool


class Download:
    """An archive on its way from an endpoint: an iterator of chunks, and a context manager that ends it.

    Iterating raises `Unreachable` when the archive breaks off. `close()` may be called by any thread.
    """

    def __init__(self, response: requests.Response, *, endpoint: str) -> None:
        self._response = response
        self._endpoint = endpoint
        self._chunks: Iterator[bytes] = response.iter_content(_CHUNK)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        with errors.translated(self._endpoint):
            return next(self._chunks)

    def close(self) -> None:
        """Stop, if it still runs. It may be called again."""
        with suppress(OSError, ValueError, RuntimeError):  # it has ended by itself
            self._response.raw.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        self._response.close()


class ImageCalls(Connection):
    def images(self, *, all: bool = False, filters: Filters | None = None) -> list[ImageSummary]:  # noqa: A002
        with errors.translated(self.base_url):
            return [parse.image_summary(row) for row in self._api.images(all=all, filters=filters_of(filters))]

    def image(self, image: str) -> ImageDetail:
        with errors.translated(self.base_url):
            return parse.image_detail(self._api.inspect_image(image))  # type: ignore[no-untyped-call]

    def history(self, image: str) -> list[HistoryEntry]:
        """The image's layers, newest first."""
        with errors.translated(self.base_url):
            rows = self._api.history(image)  # type: ignore[no-untyped-call]
            return [parse.history_entry(row) for row in rows]

    def pull(
        self, reference: str, *, auth: Auth | None = None, platform: str = "", reach: PublicOnly | None = None
    ) -> Pull:
        """Begin to pull *reference* (`latest` where it names neither tag nor digest) and return its lines.

        An endpoint that knows at once that it cannot raises here; later, the iteration raises. *reach* limits where
        the registry may be; `None` is anywhere.
        """
        repository, tag = docker.utils.parse_repository_tag(reference)
        parameters = {"fromImage": repository, "tag": tag or "latest"}
        if platform:
            parameters["platform"] = platform
        # Nobody knows how long a registry takes; the caller closes the pull when it has waited enough.
        return self._within(reach, "/images/create", parameters, auth)

    def push(
        self, reference: str, *, auth: Auth | None = None, all_tags: bool = False, reach: PublicOnly | None = None
    ) -> Pull:
        """Begin to push *reference* to the registry that its name names, and return the lines.

        Of a name without a tag, `latest` goes, or with *all_tags* all of them. *reach* limits where that registry may
        be; `None` is anywhere.
        """
        repository, tag = docker.utils.parse_repository_tag(reference)
        parameters = {} if all_tags else {"tag": tag or "latest"}
        return self._within(reach, f"/images/{_name(repository)}/push", parameters, auth)

    def save(self, images: Sequence[str]) -> Download:
        """The archive of *images*, names or ids. `NotFound` before the first byte."""
        response = self._request("GET", "/images/get", parameters={"names": list(images)}, patient=True, stream=True)
        return Download(response, endpoint=self.base_url)

    def load(self, archive: Upload, *, quiet: bool = False) -> Pull:
        """Send *archive*, then return the lines of what comes of it: `Loaded image: …` for each name."""
        parameters = {"quiet": "1" if quiet else "0"}
        return self._work("/images/load", parameters=parameters, headers=_TAR, data=chunks_of(archive))

    def import_image(
        self,
        archive: Upload,
        *,
        reference: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        platform: str = "",
    ) -> str:
        """The id of an image made of the tar of a file system, such as `docker export` makes."""
        repository, tag = docker.utils.parse_repository_tag(reference) if reference else ("", "")
        parameters: dict[str, Any] = {"fromSrc": "-", "repo": repository, "tag": tag or "", "message": message}
        parameters |= {"changes": list(changes), "platform": platform}
        identifier = ""
        with self._work("/images/create", parameters=parameters, headers=_TAR, data=chunks_of(archive)) as lines:
            for line in lines:
                identifier = line.status or identifier
        return identifier

    def tag(self, image: str, reference: str) -> None:
        repository, tag = docker.utils.parse_repository_tag(reference)
        with errors.translated(self.base_url):
            self._api.tag(image, repository, tag or "latest")

    def remove_image(self, image: str, *, force: bool = False, prune: bool = True) -> list[RemovedImage]:
        with errors.translated(self.base_url):
            rows = self._api.remove_image(image, force=force, noprune=not prune)
        return [parse.removed_image(row) for row in rows]

    def prune_images(self, *, dangling: bool = True, filters: Filters | None = None) -> PrunedImages:
        """Remove the images that no container uses: those without a name, or without *dangling* all of them."""
        wanted = {"dangling": "true" if dangling else "false", **(filters or {})}
        answer = self._json("POST", "/images/prune", parameters=filters_text(wanted), patient=True)
        rows = answer.get("ImagesDeleted") or ()
        return PrunedImages(removed=tuple(map(parse.removed_image, rows)), reclaimed=answer.get("SpaceReclaimed") or 0)

    def images_usage(self) -> ImagesUsage:
        """What images take of the disk: exactly from Havre, from others as far as Docker's numbers tell."""
        try:
            answer = self._json("GET", "/havre/v1/images/usage", patient=True)
        except errors.NotFound:
            return _usage_of_docker(self._json("GET", "/system/df", parameters={"type": "image"}, patient=True))
        return ImagesUsage(
            images=tuple(
                ImageUsage(
                    id=row["Id"],
                    tags=tuple(row["RepoTags"]),
                    size=row["Size"],
                    shared=row["Shared"],
                    unique=row["Unique"],
                    compressed=row["Compressed"],
                    containers=row["Containers"],
                )
                for row in answer["Images"]
            ),
            layers=answer["Layers"],
            compressed=answer["Compressed"],
            reclaimable=answer["Reclaimable"],
        )

    def images_freed(self, images: Collection[str]) -> int:
        """Bytes that come free when *images*, are removed. `NotSupported` by other engines than Havre's."""
        if not self._is_havre():
            raise errors.NotSupported("this engine does not tell what removing images would free")
        answer = self._json("POST", "/havre/v1/images/freed", body={"Images": list(images)}, patient=True)
        return int(answer["Freed"])

    def distribution(self, reference: str, *, auth: Auth | None = None) -> Distribution:
        """What the registry has under *reference*, without pulling it."""
        answer = self._json("GET", f"/distribution/{_name(reference)}/json", headers=_auth_header(auth), patient=True)
        descriptor = answer.get("Descriptor") or {}
        platforms = answer.get("Platforms") or ()
        parts = ("os", "architecture", "variant")
        return Distribution(
            digest=descriptor.get("digest", ""),
            media_type=descriptor.get("mediaType", ""),
            size=descriptor.get("size") or 0,
            platforms=tuple("/".join(row[part] for part in parts if row.get(part)) for row in platforms),
        )

    def check_auth(self, auth: Auth) -> Login:
        """Ask the registry `auth.server_address` whether it accepts *auth*; `Forbidden` when it does not."""
        body = {
            "username": auth.username,
            "password": auth.password,
            "serveraddress": auth.server_address,
            "identitytoken": auth.identity_token,
        }
        answer = self._json("POST", "/auth", body=body, patient=True) or {}
        return Login(status=answer.get("Status", ""), identity_token=answer.get("IdentityToken", ""))

    def search(self, term: str, *, limit: int = 25, auth: Auth | None = None) -> list[SearchResult]:
        """Images of a registry that match *term* (`host/words`, Docker Hub without a host)."""
        rows = self._json(
            "GET",
            "/images/search",
            parameters={"term": term, "limit": limit},
            headers=_auth_header(auth),
            patient=True,
        )
        return [
            SearchResult(
                name=row.get("name", ""),
                description=row.get("description", ""),
                stars=row.get("star_count") or 0,
                official=bool(row.get("is_official")),
            )
            for row in rows or ()
        ]

    def _within(self, reach: PublicOnly | None, path: str, parameters: Mapping[str, Any], auth: Auth | None) -> Pull:
        if reach is not None and self._is_havre():
            path, parameters = f"/havre/v1{path}", {**parameters, **reach.parameters()}
        return self._work(path, parameters=parameters, headers=_auth_header(auth))

    def _work(self, path: str, **options: Any) -> Pull:
        response = self._request("POST", path, patient=True, stream=True, **options)
        return Pull(response, endpoint=self.base_url)


def registry_host(reference: str) -> str:
    """The registry that an image's name leads to, such as `docker.io` or `host:5000`; `InvalidRequest` for no name."""
    try:
        host, _path = docker.auth.resolve_repository_name(reference)
    except docker.errors.InvalidRepository as error:
        raise errors.InvalidRequest(f"{reference[:200]!r} is no image's name: {error}") from error
    return "docker.io" if host in _DOCKER_HUB else str(host)


def _usage_of_docker(answer: Mapping[str, Any]) -> ImagesUsage:
    images = tuple(
        ImageUsage(
            id=row["Id"],
            tags=tuple(tag for tag in row.get("RepoTags") or () if tag != "<none>:<none>"),
            size=row.get("Size") or 0,
            shared=max(row.get("SharedSize") or 0, 0),
            unique=(row.get("Size") or 0) - max(row.get("SharedSize") or 0, 0),
            compressed=0,
            containers=max(row.get("Containers") or 0, 0),
        )
        for row in answer.get("Images") or ()
    )
    layers = answer.get("LayersSize") or 0
    # As docker's own client reckons: what is not told to be of used images alone.
    used = sum(each.unique for each in images if each.containers)
    return ImagesUsage(images=images, layers=layers, compressed=0, reclaimable=layers - used if images else layers)


def _name(reference: str) -> str:
    """The name of an image in a path: Docker leaves its slashes and colons as they are."""
    return quote(reference, safe="/:@")


def chunks_of(archive: Upload) -> Iterator[bytes]:
    """The archive in pieces."""
    if not hasattr(archive, "read"):
        return iter(archive)
    return iter(lambda: archive.read(_CHUNK), b"")


def auth_values(auth: Auth) -> dict[str, str]:
    """*auth* as Docker's headers have it."""
    if auth.identity_token:
        return {"identitytoken": auth.identity_token, "serveraddress": auth.server_address}
    return {"username": auth.username, "password": auth.password, "serveraddress": auth.server_address}


def _auth_header(auth: Auth | None) -> dict[str, str]:
    """`X-Registry-Auth`: base64url of JSON; `{}` stands for none."""
    values = {} if auth is None else auth_values(auth)
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(values).encode()).decode("ascii")}
