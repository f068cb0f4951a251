"""The rows of images, tags and digests. Nothing but SQL: rules are the service's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from engine.database import Database
from engine.registry.reference import Reference
from engine.types import Digest, now


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """An image's rows."""

    id: Digest
    size: int
    parent: Digest | None
    diff_ids: tuple[Digest, ...]
    """Lowest layer first."""
    references: tuple[Reference, ...]
    """Its tags, then its digests, each in alphabetical order."""
    tagged: int | None
    """When it was last given a name here, ns since the epoch; `None` for never."""


class ImageRecords:
    """Reads and writes the image tables of *database*. Writing methods join the transaction that is open, if one is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        image_id: Digest,
        *,
        size: int,
        layers: Sequence[tuple[Digest, Digest | None]],
        blobs: Collection[Digest],
        parent: Digest | None = None,
    ) -> None:
        """Add an image, or add *blobs* to one that is there. A removed one is there again.

        *layers* are diffIDs, lowest first, each with the blob that holds it compressed, where that is kept.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO images (id, size, parent, added) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET removed = 0",
                (image_id, size, parent, now()),
            )
            connection.executemany(
                "INSERT INTO image_layers (image_id, position, diff_id, blob) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (image_id, position) DO UPDATE SET blob = coalesce(excluded.blob, blob)",
                [(image_id, position, diff_id, blob) for position, (diff_id, blob) in enumerate(layers)],
            )
            self.keep(image_id, blobs)

    def keep(self, image_id: Digest, blobs: Collection[Digest]) -> None:
        """Add *blobs* to those that an image keeps."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO image_blobs (image_id, digest) VALUES (?, ?)",
                [(image_id, digest) for digest in blobs],
            )

    def refer(self, reference: Reference, image_id: Digest) -> None:
        """Let *reference* mean the image: its digest where it has one, else its tag."""
        table, column = ("image_digests", "digest") if reference.digest else ("image_tags", "tag")
        with self._database.transaction() as connection:
            connection.execute(
                f"INSERT INTO {table} (domain, path, {column}, image_id) VALUES (?, ?, ?, ?) "  # noqa: S608 - two constants
                f"ON CONFLICT (domain, path, {column}) DO UPDATE SET image_id = excluded.image_id",
                (reference.domain, reference.path, reference.tag_or_digest, image_id),
            )

    def name(self, reference: Reference, image_id: Digest) -> None:
        """`refer`, and note the time: somebody here gives the image this name."""
        with self._database.transaction() as connection:
            self.refer(reference, image_id)
            connection.execute("UPDATE images SET tagged = ? WHERE id = ?", (now(), image_id))

    def forget(self, reference: Reference) -> None:
        """Remove what `refer` added."""
        table, column = ("image_digests", "digest") if reference.digest else ("image_tags", "tag")
        with self._database.transaction() as connection:
            connection.execute(
                f"DELETE FROM {table} WHERE domain = ? AND path = ? AND {column} = ?",  # noqa: S608 - two constants
                (reference.domain, reference.path, reference.tag_or_digest),
            )

    def delete(self, image_id: Digest) -> None:
        """Remove an image and everything that names it."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM images WHERE id = ?", (image_id,))

    def retire(self, image_id: Digest) -> None:
        """Hide an image without letting go of its layers: a container still uses them."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM image_tags WHERE image_id = ?", (image_id,))
            connection.execute("DELETE FROM image_digests WHERE image_id = ?", (image_id,))
            connection.execute("UPDATE images SET removed = 1, tagged = NULL WHERE id = ?", (image_id,))

    def retired(self) -> list[Digest]:
        return [Digest(row["id"]) for row in self._database.query("SELECT id FROM images WHERE removed = 1")]

    def resolve(self, reference: Reference) -> Digest | None:
        """The image that *reference* means."""
        table, column = ("image_digests", "digest") if reference.digest else ("image_tags", "tag")
        row = self._database.one(
            f"SELECT image_id FROM {table} WHERE domain = ? AND path = ? AND {column} = ?",  # noqa: S608 - two constants
            (reference.domain, reference.path, reference.tag_or_digest),
        )
        return Digest(row["image_id"]) if row else None

    def tags_of(self, name: Reference) -> list[tuple[Reference, Digest]]:
        """The tags in the repository of *name*, each with the image that it means."""
        rows = self._database.query(
            "SELECT tag, image_id FROM image_tags WHERE domain = ? AND path = ? ORDER BY tag", (name.domain, name.path)
        )
        return [(Reference(name.domain, name.path, row["tag"]), Digest(row["image_id"])) for row in rows]

    def repositories_of(self, blobs: Collection[Digest], target: Reference) -> dict[Digest, list[str]]:
        """For each of *blobs* the other repositories of *target*'s registry that are known to have it: an image with it
        was pulled from there or pushed there."""
        rows = self._database.query(
            "SELECT DISTINCT digest, path FROM (SELECT b.digest AS digest, d.path AS path FROM image_digests d "
            "JOIN image_blobs b ON b.image_id = d.image_id WHERE d.domain = ? AND d.path <> ?) ORDER BY path",
            (target.domain, target.path),
        )
        found: dict[Digest, list[str]] = {}
        for row in rows:
            if row["digest"] in blobs:
                found.setdefault(Digest(row["digest"]), []).append(row["path"])
        return found

    def by_prefix(self, digits: str) -> list[Digest]:
        """The images whose id begins with *digits*; at most two, which is enough to tell that there are several."""
        rows = self._database.query(
            "SELECT id FROM images WHERE removed = 0 AND id >= ? AND id < ? ORDER BY id LIMIT 2",
            (f"sha256:{digits}", f"sha256:{digits}g"),
        )
        return [Digest(row["id"]) for row in rows]

    def get(self, image_id: Digest) -> ImageRecord | None:
        """An image that has not been removed."""
        return next(iter(self._read("WHERE id = ? AND removed = 0", (image_id,))), None)

    def exists(self, image_id: Digest) -> bool:
        """Whether there is such an image, and it has not been removed."""
        return self._database.one("SELECT 1 FROM images WHERE id = ? AND removed = 0", (image_id,)) is not None

    def all(self) -> list[ImageRecord]:
        """Every image that has not been removed, in no particular order."""
        return self._read("WHERE removed = 0", ())

    def children(self, image_id: Digest) -> list[Digest]:
        rows = self._database.query("SELECT id FROM images WHERE parent = ? AND removed = 0", (image_id,))
        return [Digest(row["id"]) for row in rows]

    def layers(self, image_id: Digest) -> list[tuple[Digest, Digest | None]]:
        """The layers of an image, also of a removed one, as `add` takes them."""
        rows = self._database.query(
            "SELECT diff_id, blob FROM image_layers WHERE image_id = ? ORDER BY position", (image_id,)
        )
        return [(Digest(row["diff_id"]), Digest(row["blob"]) if row["blob"] else None) for row in rows]

    def blobs_of_layer(self, diff_id: Digest) -> list[Digest]:
        """The blobs that hold a layer compressed, of any image."""
        rows = self._database.query(
            "SELECT DISTINCT blob FROM image_layers WHERE diff_id = ? AND blob IS NOT NULL ORDER BY blob", (diff_id,)
        )
        return [Digest(row["blob"]) for row in rows]

    def keep_blob(self, diff_id: Digest, blob: Digest) -> None:
        """Note that *blob* holds the layer *diff_id*, for every image that has the layer and no blob for it."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO image_blobs (image_id, digest) "
                "SELECT DISTINCT image_id, ? FROM image_layers WHERE diff_id = ? AND blob IS NULL",
                (blob, diff_id),
            )
            connection.execute("UPDATE image_layers SET blob = ? WHERE diff_id = ? AND blob IS NULL", (blob, diff_id))

    def drop_blob(self, digest: Digest) -> None:
        """Note that no image keeps the blob *digest* any more."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE image_layers SET blob = NULL WHERE blob = ?", (digest,))
            connection.execute("DELETE FROM image_blobs WHERE digest = ?", (digest,))

    def images_with_layer(self, diff_id: Digest) -> list[Digest]:
        """The images that have a layer, also removed ones that are kept for a container."""
        rows = self._database.query("SELECT DISTINCT image_id FROM image_layers WHERE diff_id = ?", (diff_id,))
        return [Digest(row["image_id"]) for row in rows]

    def chains(self) -> list[tuple[Digest, ...]]:
        """The layers of every image, also of the removed ones."""
        chains: dict[str, tuple[Digest, ...]] = {}
        for row in self._database.query("SELECT image_id, diff_id FROM image_layers ORDER BY image_id, position"):
            chains[row["image_id"]] = (*chains.get(row["image_id"], ()), Digest(row["diff_id"]))
        return list(chains.values())

    def needs(self) -> tuple[dict[Digest, frozenset[Digest]], dict[Digest, frozenset[Digest]]]:
        """The layers and the blobs that each image needs, also a removed one that is kept for a container."""
        layers: dict[Digest, set[Digest]] = {}
        blobs: dict[Digest, set[Digest]] = {}
        with self._database.transaction():  # one state of the tables for all queries
            for row in self._database.query("SELECT id FROM images"):
                layers[Digest(row["id"])], blobs[Digest(row["id"])] = set(), set()
            for row in self._database.query("SELECT image_id, diff_id FROM image_layers"):
                layers[row["image_id"]].add(Digest(row["diff_id"]))
            for row in self._database.query("SELECT image_id, digest FROM image_blobs"):
                blobs[row["image_id"]].add(Digest(row["digest"]))
        return (
            {image_id: frozenset(needed) for image_id, needed in layers.items()},
            {image_id: frozenset(needed) for image_id, needed in blobs.items()},
        )

    def blobs(self, image_id: Digest) -> set[Digest]:
        """The blobs that an image keeps."""
        rows = self._database.query("SELECT digest FROM image_blobs WHERE image_id = ?", (image_id,))
        return {Digest(row["digest"]) for row in rows}

    def needed_layers(self) -> set[Digest]:
        """The diffIDs that any image has."""
        return {Digest(row["diff_id"]) for row in self._database.query("SELECT DISTINCT diff_id FROM image_layers")}

    def needed_blobs(self) -> set[Digest]:
        """The blobs that any image keeps."""
        return {Digest(row["digest"]) for row in self._database.query("SELECT DISTINCT digest FROM image_blobs")}

    def _read(self, where: str, parameters: Sequence[str]) -> list[ImageRecord]:
        with self._database.transaction():  # one state of the tables for all four queries
            images = self._database.query(f"SELECT id, size, parent, tagged FROM images {where}", parameters)  # noqa: S608 - a constant
            one = images[0]["id"] if len(images) == 1 else None
            of_image, arguments = ("WHERE image_id = ?", (one,)) if one else ("", ())
            layers: dict[str, list[Digest]] = {}
            for row in self._database.query(
                f"SELECT image_id, diff_id FROM image_layers {of_image} ORDER BY image_id, position",  # noqa: S608
                arguments,
            ):
                layers.setdefault(row["image_id"], []).append(Digest(row["diff_id"]))
            references: dict[str, list[Reference]] = {}
            for row in self._database.query(
                f"SELECT * FROM image_tags {of_image} ORDER BY domain, path, tag",  # noqa: S608
                arguments,
            ):
                references.setdefault(row["image_id"], []).append(Reference(row["domain"], row["path"], row["tag"]))
            for row in self._database.query(
                f"SELECT * FROM image_digests {of_image} ORDER BY domain, path, digest",  # noqa: S608
                arguments,
            ):
                references.setdefault(row["image_id"], []).append(
                    Reference(row["domain"], row["path"], "", Digest(row["digest"]))
                )
        return [
            ImageRecord(
                id=Digest(row["id"]),
                size=row["size"],
                parent=Digest(row["parent"]) if row["parent"] else None,
                diff_ids=tuple(layers.get(row["id"], ())),
                references=tuple(references.get(row["id"], ())),
                tagged=row["tagged"],
            )
            for row in images
        ]
