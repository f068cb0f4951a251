"""Limits and the log of the container form."""

from __future__ import annotations

import re
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from webui.containers.forms import fields
from webui.gateway import CreateContainer, Ulimit

_BILLION: Final = 1_000_000_000
LEAST_MEMORY: Final = 6 * fields.MIB
"""Docker's own least (moby, `linuxMinMemory`)."""
_CPUS: Final = re.compile(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*")
_LIMIT: Final = re.compile(r"([a-z]{2,12})=(-1|\d{1,18})(?::(-1|\d{1,18}))?")
DRIVERS: Final = (
    ("", _("The engine's usual one")),
    ("json-file", "json-file"),
    ("local", "local"),
    ("none", _("none: nothing is kept")),
)


def ulimit(line: str) -> Ulimit:
    """`name=soft:hard` of --ulimit; -1 is no limit, and a single number stands for both."""
    match = _LIMIT.fullmatch(line)
    if match is None:
        raise ValueError(_("give name=soft:hard, such as nofile=1024:2048"))
    soft, hard = int(match[2]), int(match[3] or match[2])
    if hard != -1 and (soft == -1 or soft > hard):
        raise ValueError(_("the soft limit is above the hard one"))
    return Ulimit(name=match[1], soft=soft, hard=hard)


class ResourcesForm(forms.Form):
    rare = ("memory_reservation", "memory_swap", "cpu_shares", "cpuset_cpus", "ulimits", "log_driver", "log_options")

    memory = fields.SizeField(
        label=_("Memory"),
        least=LEAST_MEMORY,
        help_text=_("At most so much, such as 512m or 2g; a bare number is MiB, empty is no limit."),
    )
    cpus = forms.DecimalField(
        label=_("CPUs"),
        required=False,
        min_value=0,
        max_value=4096,
        decimal_places=3,
        help_text=_("At most so many, such as 1.5; empty is no limit."),
    )
    pids_limit = forms.IntegerField(
        label=_("Processes"),
        required=False,
        min_value=-1,
        max_value=4_194_304,
        help_text=_("At most so many at once, such as 200; -1 is no limit, empty the engine's."),
    )
    memory_reservation = fields.SizeField(
        label=_("Memory to keep"),
        help_text=_("When memory is short the kernel takes it down to this, such as 256m."),
    )
    memory_swap = fields.SizeField(
        label=_("Memory and swap"),
        minus_one=True,
        help_text=_("Both together, such as 1g; the same as memory is no swap, -1 all there is."),
    )
    cpu_shares = forms.IntegerField(
        label=_("CPU weight"),
        required=False,
        min_value=2,
        max_value=262_144,
        help_text=_("Its share when CPUs are short: 512 is half of the usual 1024."),
    )
    cpuset_cpus = forms.CharField(
        label=_("Only on CPUs"), required=False, max_length=200, help_text=_("Numbers and ranges, such as 0-2,5.")
    )
    ulimits = fields.LinesField(
        parse=ulimit,
        show=lambda each: f"{each.name}={each.soft}" + ("" if each.hard == each.soft else f":{each.hard}"),
        label=_("Ulimits"),
        help_text=_("One a line, name=soft:hard, such as nofile=1024:2048."),
    )
    log_driver = forms.ChoiceField(
        label=_("Log driver"), choices=DRIVERS, required=False, help_text=_("Where its output is kept, such as local.")
    )
    log_options = fields.LinesField(
        parse=fields.pair,
        show=fields.pair_text,
        label=_("Log options"),
        help_text=_("One a line, such as max-size=10m or max-file=3."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = (self.initial or {}).get("log_driver", "")
        if chosen and chosen not in dict(DRIVERS):
            self.fields["log_driver"].choices = [*DRIVERS, (chosen, chosen)]

    def clean_cpuset_cpus(self) -> str:
        text: str = self.cleaned_data["cpuset_cpus"].replace(" ", "")
        if text and not _CPUS.fullmatch(text):
            raise forms.ValidationError(_("Give numbers and ranges, such as 0-2,5."))
        return text

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        memory, both = cleaned.get("memory") or 0, cleaned.get("memory_swap") or 0
        if both > 0 and not memory:
            self.add_error("memory_swap", _("It needs a limit of memory beside it."))
        elif 0 < both < memory:
            self.add_error("memory_swap", _("Memory and swap together cannot be less than memory."))
        if memory and (cleaned.get("memory_reservation") or 0) > memory:
            self.add_error("memory_reservation", _("Not more than memory."))
        return cleaned

    def options(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        kept = ("memory", "memory_reservation", "cpuset_cpus", "ulimits", "pids_limit", "log_driver")
        return {name: cleaned[name] for name in kept} | {
            "memory_swap": cleaned["memory_swap"] or None,
            "nano_cpus": int((cleaned["cpus"] or 0) * _BILLION),
            "cpu_shares": cleaned["cpu_shares"] or 0,
            "log_options": dict(cleaned["log_options"]),
        }

    @staticmethod
    def initial_of(request: CreateContainer) -> dict[str, Any]:
        swap = request.memory_swap
        return {
            "memory": request.memory,
            "memory_reservation": request.memory_reservation,
            "memory_swap": "-1" if swap == -1 else swap,
            "cpus": f"{request.nano_cpus / _BILLION:g}" if request.nano_cpus else None,
            "cpu_shares": request.cpu_shares or None,
            "cpuset_cpus": request.cpuset_cpus,
            "pids_limit": request.pids_limit or None,
            "ulimits": request.ulimits,
            "log_driver": request.log_driver,
            "log_options": tuple(request.log_options.items()),
        }
