"""What templates need everywhere: icons, assets, times, sizes, short ids."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django import template
from django.conf import settings
from django.contrib.staticfiles import finders
from django.forms.boundfield import BoundField
from django.http import QueryDict
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

if TYPE_CHECKING:
    from webui.gateway import ContainerDetail, ContainerSummary

register = template.Library()

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@register.simple_tag
def asset(name: str) -> str:
    """The URL of a built file, with its age in it: a new build is fetched, an old one never again."""
    return f"{static(name)}?v={_version(name)}"


@lru_cache(maxsize=64)
def _built(name: str) -> str:
    found = finders.find(name)
    if found is None:
        return "missing"
    return format(Path(str(found)).stat().st_mtime_ns, "x")


def _version(name: str) -> str:
    if settings.DEBUG:
        _built.cache_clear()
    return _built(name)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """An icon of the sprite; without a label it is decoration."""
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="{}#{}"/></svg>', label, asset("icons.svg"), name
        )
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', asset("icons.svg"), name)


@register.filter
def control(field: BoundField) -> SafeString:
    """A form's field with the looks of its kind, and its help and errors named for those who cannot see them."""
    kinds = {"checkbox": "form-check-input", "checkboxselectmultiple": "form-check-input", "select": "form-select"}
    attributes = {"class": kinds.get(field.widget_type, "form-control"), "spellcheck": "false"}
    if field.errors:
        attributes["aria-invalid"] = "true"
    return field.as_widget(attrs=attributes)


@register.filter
def size(number: int | None) -> str:
    """Bytes as people read them, in powers of 1000 and three digits, as Docker does."""
    if number is None:
        return "-"
    value = float(number)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"
        value /= 1000
    return str(number)


@register.filter
def span(seconds: int) -> str:
    """A span of time as people say it: 40 s, 3 min, 2 h."""
    if seconds < 90:
        return f"{seconds} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{round(seconds / 3600)} h"


_LONG_AGO = dt.timedelta(days=3650)
"""Files of reproducible images are as old as the epoch: nobody counts 56 years."""


@register.filter
def ago(instant: dt.datetime | None) -> SafeString | str:
    """A time relative to now, with the exact one in its title."""
    if instant is None:
        return pgettext("a time", "never")
    delta = timezone.now() - instant
    if delta < dt.timedelta(seconds=60):
        text = _("just now")
    elif delta > _LONG_AGO:
        text = f"{instant:%Y-%m-%d}"
    else:
        text = _("%(time)s ago") % {"time": timesince(instant, depth=1)}
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', instant.isoformat(), f"{instant:%Y-%m-%d %H:%M:%S %Z}", text
    )


@register.filter
def short(identifier: str) -> str:
    """The 12 digits of an id or digest that people read."""
    return identifier.removeprefix("sha256:")[:12]


@register.filter
def percent(part: int, whole: int) -> int:
    return min(100, round(100 * part / whole)) if whole else 0


@register.simple_tag(takes_context=True)
def query(context: dict[str, Any], **changes: Any) -> str:
    """The page's query string with *changes*; a change to nothing takes the key away."""
    values: QueryDict = context["request"].GET.copy()
    for key, value in changes.items():
        if value in (None, ""):
            values.pop(key, None)
        else:
            values[key] = value
    return f"?{values.urlencode()}" if values else "?"


_COLOURS = {
    "running": "green",
    "paused": "yellow",
    "restarting": "orange",
    "created": "blue",
    "exited": "secondary",
    "dead": "red",
    "removing": "secondary",
    "queued": "secondary",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "orange",
    "healthy": "green",
    "unhealthy": "red",
    "starting": "blue",
}


@register.filter
def colour(state: str) -> str:
    """The colour of a state, the same everywhere; the word always stands beside it."""
    return _COLOURS.get(state, "secondary")


_ENDED_WELL = (0, 137, 143)
"""Exit codes; the last two are most often somebody's stop."""
_SHOWN_WELL = tuple(f"Exited ({code})" for code in _ENDED_WELL)


@register.filter
def condition(container: ContainerSummary) -> str:
    """The state whose colour a container has: one that is unhealthy, or ended with an error, is not like the others."""
    if container.health == "unhealthy":
        return "unhealthy"
    if container.state == "exited" and not container.status.startswith(_SHOWN_WELL):
        return "failed"
    return container.state


_WITH_CODE = re.compile(r"(?:Exited|Restarting) \((?P<code>\d+)\) (?P<ago>.+)")


@register.filter
def beside_state(container: ContainerSummary) -> str:
    """What the engine's words tell beyond the state, which stands beside them: `code 3, 2 minutes ago`, `Up 5 days`."""
    if found := _WITH_CODE.fullmatch(container.status):
        ago = found["ago"][0].lower() + found["ago"][1:]
        return _("code %(code)s, %(ago)s") % {"code": found["code"], "ago": ago}
    return container.status.removesuffix(" (Paused)").removesuffix(" (unhealthy)")


@register.filter
def outcome(container: ContainerDetail) -> str:
    """The same on a container's own page, where its health has a word beside it."""
    state = container.state
    failed = state.oom_killed or state.exit_code not in _ENDED_WELL
    return "failed" if state.status == "exited" and failed else state.status
