"""Images as they are found: by a name, an id, the beginning of an id; and what is told of them by events."""

from __future__ import annotations

from typing import Final

from engine.content.store import ContentStore
from engine.errors import AmbiguousId, ImageNotFound, NotFound
from engine.events import EventBus, Kind
from engine.images.config import ParsedConfig, parse_config
from engine.images.model import Image
from engine.images.records import ImageRecord, ImageRecords
from engine.registry.media import MANIFEST_LIMIT
from engine.registry.reference import Reference
from engine.types import Digest, is_id

_HEXADECIMAL: Final = frozenset("0123456789abcdef")


class Catalogue:
    """Finds images in the rows of *records*. Any thread may ask."""

    def __init__(self, records: ImageRecords, content: ContentStore, events: EventBus) -> None:
        self._records = records
        self._content = content
        self._events = events
        self._configs: dict[Digest, ParsedConfig] = {}

    def get(self, text: str) -> Image:
        """The image that *text* means; `ImageNotFound`, `AmbiguousId`, `InvalidParameter`."""
        record, _ = self.find(text)
        found = self.image(record)
        if found is None:
            raise ImageNotFound(text)
        return found

    def raw_config(self, image_id: Digest) -> bytes:
        """The image's config, byte for byte as its author made it."""
        return self._content.read(image_id, limit=MANIFEST_LIMIT)

    def forget(self, image_id: Digest) -> None:
        """Remember nothing of an image that has been removed."""
        self._configs.pop(image_id, None)

    def find(self, text: str) -> tuple[ImageRecord, Reference | None]:
        """The image that *text* means, and the reference by which it was found, if it was not by its id."""
        digits = text.removeprefix("sha256:")
        if is_id(digits):
            record = self._records.get(Digest(f"sha256:{digits}"))
            if record is None:
                raise ImageNotFound(f"sha256:{digits}")
            return record, None
        reference = Reference.parse(text)
        if reference.digest is not None:
            reference = reference.with_digest(reference.digest)
        image_id = self._records.resolve(reference)
        if image_id is not None and (record := self._records.get(image_id)):
            return record, None if image_id.hex.startswith(digits) else reference
        if digits and _HEXADECIMAL.issuperset(digits):
            found = self._records.by_prefix(digits)
            if len(found) > 1:
                raise AmbiguousId(digits, "image")
            if found and (record := self._records.get(found[0])):
                return record, None
        raise ImageNotFound(reference.familiar)

    def image(self, record: ImageRecord) -> Image | None:
        """The image of a row; `None` when it has been removed since the row was read."""
        try:
            parsed = self._config(record.id)
        except NotFound:
            if self._records.get(record.id) is not None:
                raise
            return None
        return Image(
            id=record.id,
            platform=parsed.platform,
            config=parsed.config,
            created=parsed.created,
            size=record.size,
            diff_ids=record.diff_ids,
            history=parsed.history,
            author=parsed.author,
            comment=parsed.comment,
            docker_version=parsed.docker_version,
            tags=tuple(each.familiar for each in record.references if each.digest is None),
            digests=tuple(each.familiar for each in record.references if each.digest is not None),
            parent=record.parent,
            tagged=record.tagged,
        )

    def _config(self, image_id: Digest) -> ParsedConfig:
        """The parsed config; it never changes, so it is parsed once."""
        parsed = self._configs.get(image_id)
        if parsed is None:
            parsed = self._configs[image_id] = parse_config(self.raw_config(image_id))
        return parsed

    def publish(self, action: str, actor: str, name: str, image_id: Digest | None = None) -> None:
        """Publish an event with the image's labels, as Docker does."""
        record = self._records.get(image_id) if image_id else None
        image = self.image(record) if record else None  # somebody may have removed it since
        labels = image.config.labels if image else {}
        self._events.publish(Kind.IMAGE, action, actor, {**labels, "name": name})

    def publish_prune(self, reclaimed: int) -> None:
        """Publish that images were pruned, with the bytes that this freed."""
        self._events.publish(Kind.IMAGE, "prune", "", {"reclaimed": str(reclaimed)})
