"""The filters of an image list (Docker Engine API, `ImageList`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

from engine.errors import InvalidParameter
from engine.filters import flag, labelled, require_known
from engine.images.model import Image
from engine.types import parse_until

KNOWN: Final = frozenset({"before", "dangling", "label", "label!", "reference", "since", "until"})
PRUNE: Final = frozenset({"dangling", "label", "label!", "until"})


def filtered(
    images: Iterable[Image], filters: Mapping[str, Collection[str]], *, find: Callable[[str], Image]
) -> list[Image]:
    """Those of *images* that pass all *filters*; *find* finds the image that `before` and `since` name.

    With `reference` an image keeps only the names that match, as in Docker. `InvalidParameter` for an unknown filter.
    """
    require_known(filters, KNOWN)
    dangling = _boolean(filters.get("dangling", ()))
    before = [find(text).created or 0 for text in filters.get("before", ())]
    before += [parse_until(text) for text in filters.get("until", ())]
    since = [find(text).created or 0 for text in filters.get("since", ())]
    patterns = [_pattern(text) for text in filters.get("reference", ())]
    found = []
    for image in images:
        created = image.created or 0
        if any(created >= limit for limit in before) or any(created <= limit for limit in since):
            continue
        if not labelled(image.config.labels, filters):
            continue
        shown = _only_named(image, patterns) if patterns else image
        if patterns and not (shown.tags or shown.digests):
            continue
        if dangling is True and shown.tags:
            continue
        if dangling is False and not (shown.tags or shown.digests):
            continue
        found.append(shown)
    return found


def prunable(images: Iterable[Image], filters: Mapping[str, Collection[str]]) -> list[Image]:
    """Those of *images* that a prune with *filters* may take: without a tag, or with `dangling=false` all.

    Filters are Docker's `dangling`, `label`, `label!` and `until`; an unknown one is `InvalidParameter`.
    """
    require_known(filters, PRUNE)
    everything = _boolean(filters.get("dangling", ())) is False
    others = {key: values for key, values in filters.items() if key != "dangling"}
    found = filtered(images, others, find=_unnamed)
    return found if everything else [image for image in found if not image.tags]


def _unnamed(_text: str) -> Image:
    raise InvalidParameter("images are not named by the filters of a prune")


def _boolean(values: Collection[str]) -> bool | None:
    if not values:
        return None
    said = {flag(value) for value in values}
    if len(said) > 1 or None in said:
        raise InvalidParameter(f"invalid filter 'dangling=[{' '.join(sorted(values))[:60]}]': give true or false")
    return said.pop()


def _only_named(image: Image, patterns: Collection[re.Pattern[str]]) -> Image:
    def wanted(name: str) -> bool:
        bare = name.partition("@")[0] if "@" in name else name.rpartition(":")[0]
        return any(pattern.fullmatch(name) or pattern.fullmatch(bare) for pattern in patterns)

    return replace(image, tags=tuple(filter(wanted, image.tags)), digests=tuple(filter(wanted, image.digests)))


def _pattern(text: str) -> re.Pattern[str]:
    """A shell pattern in which `*` and `?` stop at a slash, as in Go's `path.Match`."""
    parts = []
    for piece in re.findall(r"\\.|\[\^?[^\]]+\]|.", text, flags=re.DOTALL):
        if piece == "*":
            parts.append("[^/]*")
        elif piece == "?":
            parts.append("[^/]")
        elif len(piece) > 1 and piece[0] == "[":
            parts.append(piece)
        elif piece == "[":
            raise InvalidParameter(f"syntax error in pattern: invalid filter 'reference={text[:60]}'")
        else:
            parts.append(re.escape(piece[-1]))
    try:
        return re.compile("".join(parts))
    except re.error as error:
        raise InvalidParameter(f"invalid filter 'reference={text}': {error}") from error
