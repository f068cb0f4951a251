"""What registries tell without a pull: what is there under a name, whether they accept credentials, searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.images.config import parse_config
from engine.images.stores import ImageStores
from engine.registry import visits
from engine.registry.auth import RegistryAuth
from engine.registry.client import RegistryClient
from engine.registry.media import Descriptor, Index
from engine.registry.reference import Reference
from engine.registry.visits import SearchResult
from engine.types import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Distributed:
    """What a registry has under a name."""

    descriptor: Descriptor
    platforms: tuple[Platform, ...]


class Distribution:
    """Asks registries, reached as *stores* says. Any thread may call it."""

    def __init__(self, stores: ImageStores) -> None:
        self._stores = stores

    def inspect(self, reference: Reference, *, auth: RegistryAuth | None = None) -> Distributed:
        """What *reference* means in its registry, and the platforms that it is for. Errors are those of a pull."""
        stores = self._stores
        with RegistryClient(reference, hosts=stores.hosts, auth=auth, patience=stores.patience) as client:
            found = client.manifest(reference.tag_or_digest)
            if isinstance(found.document, Index):
                platforms = tuple(entry.platform for entry in found.document.entries if entry.platform)
            else:
                config = parse_config(client.read_blob(found.document.config))
                platforms = (config.platform,) if config.platform.os or config.platform.architecture else ()
        descriptor = Descriptor(
            media_type=found.media_type.partition(";")[0].strip(), digest=found.digest, size=len(found.data)
        )
        return Distributed(descriptor=descriptor, platforms=platforms)

    def log_in(self, auth: RegistryAuth) -> str:
        """Try *auth* at its server address; the identity token that the registry gives to be kept, if it does."""
        return visits.log_in(auth, hosts=self._stores.hosts, patience=self._stores.patience)

    def search(self, term: str, *, limit: int = 25, auth: RegistryAuth | None = None) -> Sequence[SearchResult]:
        """Images of a registry that match *term*, `host/words` or only words for Docker Hub; at most *limit*."""
        return visits.search(term, limit=limit, auth=auth, hosts=self._stores.hosts, patience=self._stores.patience)
