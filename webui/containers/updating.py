"""The form that changes a container: its name, its limits, its restart policy."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from webui import gateway
from webui.containers.services import Changes

_NAME: Final = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$")
_MEBIBYTE: Final = 1024 * 1024
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
        validators=[RegexValidator(_NAME, _("Letters, digits, _ . and -, two at least; the first a letter or digit."))],
    )
    memory = forms.IntegerField(
        label=_("Memory (MiB)"),
        required=False,
        min_value=6,
        max_value=1024 * 1024,
        help_text=_("Empty leaves it as it is."),
    )
    cpus = forms.DecimalField(
        label=_("CPUs"),
        required=False,
        min_value=Decimal("0.01"),
        max_value=4096,
        decimal_places=2,
        help_text=_("1.5 is one and a half. Empty leaves it as it is."),
    )
    restart_policy = forms.ChoiceField(label=_("Start again"), choices=POLICIES)
    maximum_retries = forms.IntegerField(
        label=_("Tries"), required=False, min_value=0, max_value=1000, help_text=_("For failures; 0 is no limit.")
    )

    def __init__(self, *arguments: Any, container: gateway.ContainerDetail, **options: Any) -> None:
        self._before = {
            "name": container.name,
            "memory": container.memory // _MEBIBYTE or None,
            "cpus": Decimal(container.nano_cpus) / _CPU if container.nano_cpus else None,
            "restart_policy": container.restart_policy or "no",
            "maximum_retries": container.maximum_retries,
        }
        super().__init__(*arguments, initial=self._before, **options)

    def changes(self) -> Changes:
        """What the valid form asks to be different from before."""
        wanted = self.cleaned_data
        different = {name for name in self._before if (wanted.get(name) or None) != (self._before[name] or None)}
        policy = wanted["restart_policy"] if different & {"restart_policy", "maximum_retries"} else None
        return Changes(
            name=wanted["name"] if "name" in different else None,
            # Engines take 0 for "say nothing": a limit can be changed, and not be taken away.
            memory=wanted["memory"] * _MEBIBYTE if "memory" in different and wanted["memory"] else None,
            nano_cpus=int(wanted["cpus"] * _CPU) if "cpus" in different and wanted["cpus"] else None,
            restart_policy=policy,
            maximum_retries=(wanted["maximum_retries"] or 0) if policy == "on-failure" else 0,
        )
