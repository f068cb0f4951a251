"""The form that changes a container: its name, its limits, its restart policy."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from webui import gateway
from webui.containers.forms import fields
from webui.containers.forms.command import NAME
from webui.containers.forms.resources import LEAST_MEMORY
from webui.containers.services import Changes

_CPU: Final = 1_000_000_000

POLICIES: Final = (
    ("no", _("Never")),
    ("on-failure", _("When it fails")),
    ("unless-stopped", _("Always, unless somebody stopped it")),
    ("always", _("Always")),
)


class UpdateForm(forms.Form):
    """Begins with what *container* has; `changes` tells what is different."""

    name = forms.CharField(
        label=_("Name"),
        max_length=128,
        validators=[
            RegexValidator(
                rf"^{NAME.pattern}\Z", _("Letters, digits, _ . and -, two at least; the first a letter or digit.")
            )
        ],
    )
    memory = fields.SizeField(
        label=_("Memory"), least=LEAST_MEMORY, help_text=_("Such as 512m or 2g. Empty leaves it as it is.")
    )
    memory_swap = fields.SizeField(
        label=_("Memory and swap"),
        minus_one=True,
        help_text=_("Both together; the same as memory is no swap, -1 all there is. Left alone, it follows memory."),
    )
    cpus = forms.DecimalField(
        label=_("CPUs"),
        required=False,
        min_value=Decimal("0.01"),
        max_value=4096,
        decimal_places=3,
        help_text=_("1.5 is one and a half. Empty leaves it as it is."),
    )
    cpu_shares = forms.IntegerField(
        label=_("CPU weight"),
        required=False,
        min_value=2,
        max_value=262_144,
        help_text=_("Its share when CPUs are short: 512 is half of the usual 1024."),
    )
    pids_limit = forms.IntegerField(
        label=_("Processes"),
        required=False,
        min_value=-1,
        max_value=4_194_304,
        help_text=_("At most so many at once; -1 is no limit."),
    )
    restart_policy = forms.ChoiceField(label=_("Start again"), choices=POLICIES)
    maximum_retries = forms.IntegerField(
        label=_("Tries"), required=False, min_value=0, max_value=1000, help_text=_("For failures; 0 is no limit.")
    )

    def __init__(self, *arguments: Any, container: gateway.ContainerDetail, **options: Any) -> None:
        self._container = container
        self._before = {
            "name": container.name,
            "memory": container.memory,
            "memory_swap": container.memory_swap,
            "cpus": Decimal(container.nano_cpus) / _CPU if container.nano_cpus else None,
            "cpu_shares": container.cpu_shares or None,
            "pids_limit": container.pids_limit,
            "restart_policy": container.restart_policy or "no",
            "maximum_retries": container.maximum_retries,
        }
        super().__init__(*arguments, initial=self._before, **options)

    @property
    def limits(self) -> list[forms.BoundField]:
        return [self[name] for name in ("memory", "memory_swap", "cpus", "cpu_shares", "pids_limit")]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        memory, both = cleaned.get("memory") or self._container.memory, self._swap(cleaned) or 0
        if both > 0 and not memory:
            self.add_error("memory_swap", _("It needs a limit of memory beside it."))
        elif 0 < both < memory:
            self.add_error("memory_swap", _("Memory and swap together cannot be less than memory."))
        return cleaned

    def changes(self) -> Changes:
        """What the valid form asks to be different from before."""
        wanted = self.cleaned_data
        different = {name for name in self._before if (wanted.get(name) or None) != (self._before[name] or None)}
        policy = wanted["restart_policy"] if different & {"restart_policy", "maximum_retries"} else None
        # Engines take 0 for "say nothing": a limit can be changed, and but for the last not be taken away.
        limits = gateway.Limits(
            memory=wanted["memory"] or None if "memory" in different else None,
            memory_swap=self._swap(wanted),
            nano_cpus=int(wanted["cpus"] * _CPU) if "cpus" in different and wanted["cpus"] else None,
            cpu_shares=wanted["cpu_shares"] if "cpu_shares" in different else None,
            pids_limit=wanted["pids_limit"] if "pids_limit" in different else None,
        )
        return Changes(
            name=wanted["name"] if "name" in different else None,
            limits=limits if limits != gateway.Limits() else None,
            restart_policy=policy,
            maximum_retries=(wanted["maximum_retries"] or 0) if policy == "on-failure" else 0,
        )

    def _swap(self, wanted: dict[str, Any]) -> int | None:
        """Memory and swap together where they change: as somebody wants it, or by as much as memory does."""
        asked, memory, before = wanted.get("memory_swap") or 0, wanted.get("memory") or 0, self._container
        if asked and asked != before.memory_swap:
            return int(asked)
        if not memory or memory == before.memory or before.memory_swap < 0:
            return None
        # Without a word about it, a limit above the one before could not be set.
        return int(memory + before.memory_swap - before.memory) if before.memory_swap else int(memory * 2)
