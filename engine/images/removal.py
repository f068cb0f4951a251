"""When an image may be removed, and what goes with it: Docker's rules, in Docker's words.

    removing by name   takes that name away; the image goes with its last name, unless a container uses it
    removing by id     takes every name, if all are of one repository; several need *force*
    hard conflicts     a child image, a running container, a pull or create under way: cannot be forced
    soft conflicts     a stopped container, names in several repositories: must be forced

Source: moby, `daemon/images/image_delete.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.errors import Conflict
from engine.images.model import ContainerUse, RemovedImage
from engine.images.records import ImageRecord, ImageRecords
from engine.registry.reference import Reference
from engine.types import Digest

InUse = Callable[[Digest], Sequence[ContainerUse]]
"""The containers that were made from an image. `ImageService` calls it with no lock held: it may take its own."""


@dataclass(slots=True)
class Removal:
    """What a removal has done so far: lines for its caller, and images whose content can be collected."""

    lines: list[RemovedImage] = field(default_factory=list)
    untagged: list[Digest] = field(default_factory=list)
    deleted: list[ImageRecord] = field(default_factory=list)
    content: set[Digest] = field(default_factory=set)
    """Blobs and layers that may have become unneeded."""


class Remover:
    """Applies the rules to the rows. Runs inside one transaction of its caller, which collects content afterwards."""

    def __init__(
        self,
        records: ImageRecords,
        *,
        uses: Mapping[Digest, Sequence[ContainerUse]],
        busy: Callable[[Digest], bool],
    ) -> None:
        self._records = records
        self._uses = uses
        self._busy = busy
        self.done = Removal()

    def by_reference(self, record: ImageRecord, text: str, reference: Reference, *, force: bool, prune: bool) -> None:
        """Take *reference*, which was given as *text*, away from the image."""
        uses = self._uses.get(record.id, ())
        if not force and uses and is_single(record.references):
            raise Conflict(
                f'conflict: unable to remove repository reference "{text}" (must force) - container '
                f"{uses[0].id[:12]} is using its referenced image {record.id.short}"
            )
        self._untag(record.id, reference)
        remaining = [each for each in record.references if each != reference]
        if reference.digest is None and not any(
            each.digest is None and each.name == reference.name for each in remaining
        ):
            # With the last tag of a repository go the digests by which it was pulled.
            for each in [each for each in remaining if each.name == reference.name]:
                self._untag(record.id, each, told=False)
                remaining.remove(each)
        if not remaining:
            self._delete(record.id, force=force, prune=prune, quiet=True)

    def by_id(self, record: ImageRecord, *, force: bool, prune: bool) -> None:
        """Remove the image with all its names."""
        if is_single(record.references):
            self._raise_conflict(record, hard=True, stopped=not force, names=False)
            for each in _sorted(record.references):
                self._untag(record.id, each)
        self._delete(record.id, force=force, prune=prune, quiet=False)

    def _delete(self, image_id: Digest, *, force: bool, prune: bool, quiet: bool) -> None:
        record = self._records.get(image_id)
        if record is None:
            return
        if quiet and (self._conflict(record, hard=True, stopped=not force, names=not force) is not None):
            return
        self._raise_conflict(record, hard=True, stopped=not force, names=not force)
        for each in _sorted(record.references):
            self._untag(image_id, each)
        self.done.content |= {*self._records.blobs(image_id), *record.diff_ids}
        if self._uses.get(image_id):
            self._records.retire(image_id)
        else:
            self._records.delete(image_id)
        self.done.deleted.append(record)
        self.done.lines.append(RemovedImage(deleted=image_id))
        if prune and record.parent is not None:
            self._delete(record.parent, force=False, prune=True, quiet=True)

    def _untag(self, image_id: Digest, reference: Reference, *, told: bool = True) -> None:
        self._records.forget(reference)
        self.done.lines.append(RemovedImage(untagged=reference.familiar))
        if told:
            self.done.untagged.append(image_id)

    def _raise_conflict(self, record: ImageRecord, *, hard: bool, stopped: bool, names: bool) -> None:
        conflict = self._conflict(record, hard=hard, stopped=stopped, names=names)
        if conflict is not None:
            raise conflict

    def _conflict(self, record: ImageRecord, *, hard: bool, stopped: bool, names: bool) -> Conflict | None:
        """The first of the asked kinds of conflict, in Docker's order."""
        uses = self._uses.get(record.id, ())
        running = next((use for use in uses if use.running), None)
        idle = next((use for use in uses if not use.running), None)
        reason = ""
        forced = "cannot be forced"
        if hard and self._records.children(record.id):
            reason = "image has dependent child images"
        elif hard and running:
            reason = f"image is being used by running container {running.id[:12]}"
        elif hard and self._busy(record.id):
            reason = "image is being pulled or used for a new container"
        elif names and record.references:
            reason, forced = "image is referenced in multiple repositories", "must be forced"
        elif stopped and idle:
            reason, forced = f"image is being used by stopped container {idle.id[:12]}", "must be forced"
        return Conflict(f"conflict: unable to delete {record.id.short} ({forced}) - {reason}") if reason else None


def _sorted(references: Sequence[Reference]) -> Sequence[Reference]:
    """In the order in which Docker tells of them."""
    return sorted(references, key=str)


def is_single(references: Sequence[Reference]) -> bool:
    """Whether all of *references* are of one repository and at most one of them is a tag; false when there is none."""
    tags = [each for each in references if each.digest is None]
    return bool(references) and len(tags) <= 1 and len({each.name for each in references}) == 1
