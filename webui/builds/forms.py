"""The form of a build: what to build, what to call it, and how."""

from __future__ import annotations

import re
from typing import Any, Final

from django import forms
from django.forms import BaseFormSet, formset_factory
from django.utils.translation import gettext_lazy as _

from webui.environments.pairs import PairsField
from webui.images.services import reference_of

_REMOTE: Final = re.compile(r"(https?|git|ssh)://\S+|git@\S+:\S+")
_SECRET: Final = re.compile(r"[A-Za-z0-9._/-]{1,100}")
MOST_SECRET: Final = 40_000
"""Bytes of all secrets of a build: what a header of a request to the engine can hold, in base64."""
MOST_KEY: Final = 20_000
_KEY: Final = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----\n.*\n-----END [A-Z0-9 ]*PRIVATE KEY-----", re.DOTALL)
STARTER: Final = """\
FROM debian:12

RUN apt-get update \\
    && apt-get install -y --no-install-recommends nginx \\
    && rm -rf /var/lib/apt/lists/*

EXPOSE 80
CMD ["nginx", "-g", "daemon off;"]
"""


class SecretInput(forms.Textarea):
    """Several lines that are written and never shown."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:  # noqa: ARG002
        return super().get_context(name, None, {"autocomplete": "off", "spellcheck": "false", **(attrs or {})})


class Context:
    """Where the files come from that COPY and ADD see."""

    NONE, UPLOAD, REMOTE = "none", "upload", "remote"


CONTEXTS: Final = (
    (Context.NONE, _("None"), _("The Dockerfile alone: nothing to copy.")),
    (Context.UPLOAD, _("An archive"), _("A zip or tar of a folder, sent from here.")),
    (Context.REMOTE, _("Git"), _("A repository that the engine fetches, with its own Dockerfile.")),
)


class SecretForm(forms.Form):
    """One secret. Its value is never sent back to the page, not even when something else was wrong."""

    name = forms.CharField(label=_("Id"), required=False, max_length=100)
    value = forms.CharField(
        label=_("Value"), required=False, max_length=MOST_SECRET, strip=False, widget=SecretInput(attrs={"rows": 1})
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        name = cleaned.get("name", "")
        if name and not _SECRET.fullmatch(name):
            self.add_error("name", _("Letters, digits, “.”, “_”, “/” and “-”, as in --mount=type=secret,id=…"))
        elif name and not cleaned.get("value"):
            self.add_error("value", _("Type the value: it is not kept in the page."))
        elif cleaned.get("value") and not name:
            self.add_error("name", _("Give it the id by which the Dockerfile mounts it."))
        return cleaned


class BaseSecretFormSet(BaseFormSet):
    def clean(self) -> None:
        names = [form.cleaned_data["name"] for form in self.forms if form.cleaned_data.get("name")]
        if len(names) != len(set(names)):
            raise forms.ValidationError(_("The same id is there twice."))
        if sum(len(value.encode()) for value in self.secrets.values()) > MOST_SECRET:
            raise forms.ValidationError(_("All secrets together have at most %(most)d bytes.") % {"most": MOST_SECRET})

    @property
    def secrets(self) -> dict[str, str]:
        """By id. Browsers end lines with two letters, files with one."""
        return {
            form.cleaned_data["name"]: form.cleaned_data.get("value", "").replace("\r\n", "\n")
            for form in self.forms
            if form.cleaned_data.get("name")
        }


SecretFormSet = formset_factory(SecretForm, formset=BaseSecretFormSet, extra=1, max_num=32, absolute_max=32)


class BuildForm(forms.Form):
    """Which fields count depends on the context: of a repository, the Dockerfile is the repository's own."""

    dockerfile = forms.CharField(
        label=_("Dockerfile"), required=False, max_length=1_000_000, strip=False, widget=forms.Textarea, initial=STARTER
    )
    tags = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=4000,
        help_text=_("What the image shall be called, such as team/app:1. Several with spaces between them."),
    )
    context = forms.ChoiceField(choices=[(name, label) for name, label, _line in CONTEXTS], initial=Context.NONE)
    own = forms.BooleanField(
        label=_("Use the archive's own Dockerfile"), required=False, help_text=_("Not the one of the editor above.")
    )
    remote = forms.CharField(
        label=_("Address"),
        required=False,
        max_length=2000,
        help_text=_("Such as https://git.example.org/app.git#main:docker: a branch, and a folder in it."),
    )
    path = forms.CharField(
        label=_("Path of the Dockerfile"),
        required=False,
        max_length=1000,
        help_text=_("In the archive or repository; empty: Dockerfile."),
    )
    target = forms.CharField(
        label=_("Target"), required=False, max_length=200, help_text=_("A stage to stop at; empty: the last.")
    )
    arguments = PairsField(label=_("Build arguments"), help_text=_("For ARG, one a line, such as VERSION=1.2."))
    labels = PairsField(label=_("Labels"), help_text=_("One a line, such as team=web."))
    platform = forms.CharField(
        label=_("Platform"), required=False, max_length=60, help_text=_("Such as linux/arm64; empty: this host's.")
    )
    network = forms.ChoiceField(
        label=_("Network of RUN"),
        required=False,
        choices=[("", _("as usual: out, by the default network")), ("none", _("none: nothing can be fetched"))],
    )
    ssh_key = forms.CharField(
        label=_("SSH key"),
        required=False,
        max_length=MOST_KEY,
        widget=SecretInput(attrs={"rows": 2}),
        help_text=_(
            "For RUN --mount=type=ssh: a private key without a passphrase. Commands sign with it and never read it."
        ),
    )
    no_cache = forms.BooleanField(
        label=_("Without cache"), required=False, help_text=_("Every step runs, whether or not anything changed.")
    )
    pull = forms.BooleanField(
        label=_("Look for newer base images"), required=False, help_text=_("Ask the registry, though they are here.")
    )

    @property
    def kinds(self) -> list[dict[str, Any]]:
        chosen = self["context"].value()
        return [
            {"name": name, "label": label, "line": line, "chosen": name == chosen} for name, label, line in CONTEXTS
        ]

    def clean_ssh_key(self) -> str:
        key: str = self.cleaned_data["ssh_key"].replace("\r\n", "\n")
        if key and not _KEY.fullmatch(key):
            raise forms.ValidationError(_("Paste the whole file, from its BEGIN line to its END line."))
        return f"{key}\n" if key else ""

    def clean_tags(self) -> list[str]:
        return [reference_of(tag) for tag in self.cleaned_data["tags"].split()]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        context = cleaned.get("context")
        if context == Context.REMOTE and not _REMOTE.fullmatch(cleaned.get("remote", "").strip()):
            self.add_error("remote", _("Give the address of a repository: https://…, ssh://… or git@host:path."))
        if self.from_editor and not cleaned.get("dockerfile", "").strip():
            self.add_error("dockerfile", _("Write a Dockerfile: it begins with FROM and the image to build on."))
        return cleaned

    @property
    def from_editor(self) -> bool:
        """Whether the Dockerfile of the editor counts."""
        context = self.cleaned_data.get("context")
        return context == Context.NONE or (context == Context.UPLOAD and not self.cleaned_data.get("own"))
