"""What every operation on images works with; one for each engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.content.store import ContentStore
from engine.database import Database
from engine.images.collector import Collector, DigestLocks
from engine.images.records import ImageRecords
from engine.registry.hosts import RegistryHosts
from engine.registry.patience import Patience
from engine.snapshots.layers import LayerStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStores:
    """Rows, blobs and layers, who keeps them, and how registries are reached."""

    database: Database
    records: ImageRecords
    content: ContentStore
    layers: LayerStore
    collector: Collector
    hosts: RegistryHosts
    patience: Patience | None = None
    locks: DigestLocks = field(default_factory=DigestLocks)
