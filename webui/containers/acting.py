"""What a page sends to have something done to containers: the verb, and how."""

from __future__ import annotations

import signal
from typing import Final

from django import forms
from django.utils.translation import gettext_lazy as _

from webui.containers.forms.command import SIGNAL
from webui.containers.services import How, Verb

_FIRST: Final = (
    ("SIGHUP", _("SIGHUP: read your settings again")),
    ("SIGINT", _("SIGINT: as Ctrl-C")),
    ("SIGTERM", _("SIGTERM: end, please")),
    ("SIGQUIT", _("SIGQUIT: end and tell where you were")),
    ("SIGUSR1", _("SIGUSR1: whatever the program makes of it")),
    ("SIGUSR2", _("SIGUSR2: whatever the program makes of it")),
    ("SIGKILL", _("SIGKILL: end at once, without a last word")),
)
_OTHERS: Final = sorted({each.name for each in signal.Signals} - dict(_FIRST).keys())
SIGNALS: Final = (*_FIRST, *((name, name) for name in _OTHERS))
"""What the page offers, the usual ones first."""

LONGEST_STOP: Final = 3600


class ActForm(forms.Form):
    verb = forms.ChoiceField(choices=[(verb.value, verb.value) for verb in Verb])
    force = forms.BooleanField(required=False)
    volumes = forms.BooleanField(required=False)
    signal = forms.RegexField(rf"^({SIGNAL.pattern})$", required=False, max_length=12)
    timeout = forms.IntegerField(required=False, min_value=0, max_value=LONGEST_STOP)

    @property
    def verb_wanted(self) -> Verb:
        return Verb(self.cleaned_data["verb"])

    def how(self) -> How:
        cleaned = self.cleaned_data
        return How(
            force=cleaned["force"],
            volumes=cleaned["volumes"],
            signal=cleaned["signal"] or "SIGKILL",
            timeout=cleaned["timeout"],
        )
