"""Restart and health of the container form."""

from __future__ import annotations

import shlex
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from webui.containers.forms import fields
from webui.gateway import CreateContainer, HealthCheck

POLICIES: Final = (
    ("no", _("No: when it ends, it stays ended")),
    ("on-failure", _("On failure: again when it ends with an error")),
    ("unless-stopped", _("Unless stopped: always, but not after you stopped it")),
    ("always", _("Always: even after the host restarts")),
)
CHECKS: Final = (
    ("inherit", _("The image's own, if it has one")),
    ("shell", _("A shell command")),
    ("exec", _("A program with arguments")),
    ("none", _("None, even if the image has one")),
)
_WORDS: Final = {"shell": "CMD-SHELL", "exec": "CMD"}


class LifeForm(forms.Form):
    rare = ("health_start_period", "health_start_interval", "health_retries")

    restart_policy = forms.ChoiceField(
        label=_("Restart"), choices=POLICIES, initial="no", help_text=_("What happens when its command ends.")
    )
    maximum_retries = forms.IntegerField(
        label=_("Retries"),
        required=False,
        min_value=0,
        max_value=1_000_000,
        help_text=_("Only with “On failure”: how often at most, such as 5; 0 is without end."),
    )
    auto_remove = forms.BooleanField(
        label=_("Remove when it ends"),
        required=False,
        help_text=_("The container and what it wrote are gone after its command ends (--rm)."),
    )
    health = forms.ChoiceField(
        label=_("Health check"),
        choices=CHECKS,
        initial="inherit",
        required=False,
        help_text=_("A command inside the container; ending with 0, it says that all is well."),
    )
    health_test = fields.TextField(
        label=_("Test"),
        max_length=8192,
        help_text=_("Such as curl -f http://localhost/ || exit 1."),
    )
    health_interval = fields.DurationField(label=_("Every"), help_text=_("Such as 1m; empty is 30s."))
    health_timeout = fields.DurationField(label=_("Within"), help_text=_("Longer is a failure: 5s; empty is 30s."))
    health_retries = forms.IntegerField(
        label=_("Failures in a row"),
        required=False,
        min_value=0,
        max_value=1000,
        help_text=_("So many make it unhealthy, such as 5; empty is 3."),
    )
    health_start_period = fields.DurationField(
        label=_("Time to start"), help_text=_("Failures do not count so long, such as 1m; empty is 0s.")
    )
    health_start_interval = fields.DurationField(
        label=_("Every, while it starts"), help_text=_("Such as 2s; empty is the engine's usual time.")
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("auto_remove") and cleaned.get("restart_policy", "no") != "no":
            self.add_error("auto_remove", _("A container that restarts cannot be removed when it ends: choose one."))
        if cleaned.get("maximum_retries") and cleaned.get("restart_policy") != "on-failure":
            self.add_error("maximum_retries", _("Retries count only with “On failure”."))
        kind, test = cleaned.get("health"), cleaned.get("health_test", "").strip()
        if kind in _WORDS and not test:
            self.add_error("health_test", _("Which command tests it?"))
        elif kind == "exec":
            try:
                shlex.split(test)
            except ValueError:
                self.add_error("health_test", _("A quotation mark is not closed."))
        elif kind not in _WORDS and test:
            self.add_error("health_test", _("A test counts only with a check of your own: choose one above."))
        return cleaned

    def options(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        return {
            "restart_policy": cleaned["restart_policy"],
            "maximum_retries": cleaned["maximum_retries"] or 0,
            "auto_remove": cleaned["auto_remove"],
            "health": self._health(),
        }

    def _health(self) -> HealthCheck | None:
        cleaned = self.cleaned_data
        kind, test = cleaned["health"], cleaned["health_test"].strip()
        times = {name: cleaned[f"health_{name}"] for name in ("interval", "timeout", "start_period", "start_interval")}
        times["retries"] = cleaned["health_retries"] or 0
        if kind == "none":
            return HealthCheck(test=("NONE",))
        if kind in _WORDS:
            words = (test,) if kind == "shell" else tuple(shlex.split(test))
            return HealthCheck(test=(_WORDS[kind], *words), **times)
        # Without a test, the image's is kept, at other times.
        return HealthCheck(test=(), **times) if any(times.values()) else None

    @staticmethod
    def initial_of(request: CreateContainer) -> dict[str, Any]:
        check = request.health
        word = check.test[0] if check and check.test else ""
        kind = {"NONE": "none", "CMD-SHELL": "shell", "CMD": "exec"}.get(word, "inherit")
        words = check.test[1:] if check else ()
        return {
            "restart_policy": request.restart_policy,
            "maximum_retries": request.maximum_retries or None,
            "auto_remove": request.auto_remove,
            "health": kind,
            "health_test": " ".join(words) if kind == "shell" else shlex.join(words),
            "health_interval": check.interval if check else 0,
            "health_timeout": check.timeout if check else 0,
            "health_start_period": check.start_period if check else 0,
            "health_start_interval": check.start_interval if check else 0,
            "health_retries": (check.retries or None) if check else None,
        }
