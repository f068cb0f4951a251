"""Names and values of the container form: environment variables and labels."""

from __future__ import annotations

import re
from typing import Any, Final

from django import forms
from django.forms import formset_factory
from django.utils.translation import gettext_lazy as _

from webui.containers.forms import fields

VARIABLE: Final = re.compile(r"[^=\s\x00]+")


class VariableForm(forms.Form):
    name = forms.CharField(label=_("Name"), required=False, max_length=256)
    value = fields.TextField(label=_("Value"), max_length=32768, strip=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        name = cleaned.get("name", "")
        if cleaned.get("value") and not name:
            self.add_error("name", _("Give it a name."))
        elif name and not VARIABLE.fullmatch(name):
            self.add_error("name", _("A name has no spaces and no “=”."))
        return cleaned


VariableFormSet = formset_factory(VariableForm, extra=1, max_num=500, absolute_max=500)
LabelFormSet = formset_factory(VariableForm, extra=1, max_num=500, absolute_max=500)


def rows_of_variables(env: tuple[str, ...]) -> list[dict[str, Any]]:
    pairs = (variable.partition("=") for variable in env)
    return [{"name": name, "value": value} for name, _separator, value in pairs]
