"""From a path to its handler.

Patterns are paths with `{name}` for one segment and `{name*}` for one or more: names of images hold slashes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from engine.api.call import Call

Handler = Callable[["Call"], Awaitable[web.StreamResponse]]

_NAME = re.compile(r"\{(\w+)(\*?)\}")


class Routes:
    """A noun's routes: a table filled by decorators."""

    def __init__(self) -> None:
        self.table: list[tuple[str, str, Handler]] = []

    def add(self, method: str, pattern: str) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            self.table.append((method, pattern, handler))
            return handler

        return register

    def get(self, pattern: str) -> Callable[[Handler], Handler]:
        return self.add("GET", pattern)

    def post(self, pattern: str) -> Callable[[Handler], Handler]:
        return self.add("POST", pattern)

    def delete(self, pattern: str) -> Callable[[Handler], Handler]:
        return self.add("DELETE", pattern)


class Router:
    """All routes; the first that fits in the order of registration wins."""

    def __init__(self, *nouns: Routes) -> None:
        self._by_start: dict[tuple[str, str], list[tuple[re.Pattern[str], Handler]]] = defaultdict(list)
        for noun in nouns:
            for method, pattern, handler in noun.table:
                self._by_start[method, pattern.split("/")[1]].append((_compile(pattern), handler))

    def find(self, method: str, path: str) -> tuple[Handler, Mapping[str, str]] | None:
        """The handler for *path*, without its version, and what the names in its pattern stand for."""
        start = path.split("/", 2)[1] if path.startswith("/") else ""
        for pattern, handler in self._by_start.get((method, start), ()):
            if match := pattern.fullmatch(path):
                return handler, match.groupdict()
        return None


def _compile(pattern: str) -> re.Pattern[str]:
    expression, position = "", 0
    for match in _NAME.finditer(pattern):
        expression += re.escape(pattern[position : match.start()])
        expression += f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})"
        position = match.end()
    return re.compile(expression + re.escape(pattern[position:]))
