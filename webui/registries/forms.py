"""The form of a registry. Its password goes in and never comes out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from webui.registries.models import Registry

_ALIASES = ("index.docker.io", "registry-1.docker.io", "hub.docker.com")


class RegistryForm(forms.ModelForm):
    """*everywhere* offers to have it in all environments, to those who may."""

    password = forms.CharField(
        label=_("Password or token"),
        required=False,
        max_length=4096,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    everywhere = forms.BooleanField(
        label=_("In every environment"), required=False, help_text=_("Those to come included.")
    )

    class Meta:
        model = Registry
        fields = ("host", "username", "note")
        widgets = {
            "host": forms.TextInput(attrs={"list": "registry-hosts", "autocomplete": "off"}),
            "username": forms.TextInput(attrs={"autocomplete": "off"}),
        }
        help_texts = {"username": _("Empty: nobody signs in."), "note": _("For people, such as whose account it is.")}

    def __init__(self, *args: Any, everywhere: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kept = self.instance.has_password
        self.fields["password"].help_text = (
            _("One is kept; it is never shown. Empty leaves it as it is.")
            if kept
            else _("A token that may only pull is best where nobody pushes.")
        )
        if everywhere:
            self.initial["everywhere"] = self.instance.pk is not None and self.instance.environment_id is None
        else:
            del self.fields["everywhere"]

    def clean_host(self) -> str:
        host: str = self.cleaned_data["host"].strip().lower()
        host = host.removeprefix("https://").removeprefix("http://").rstrip("/")
        return "docker.io" if host in _ALIASES else host

    @property
    def new_password(self) -> str | None:
        """What was typed; `None` leaves the one that is kept, unless nobody signs in any more."""
        if not self.cleaned_data["username"]:
            return ""
        return self.cleaned_data["password"] or None
