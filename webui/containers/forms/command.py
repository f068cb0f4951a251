"""The first tab of the container form: the image, its name, and what runs."""

from __future__ import annotations

import re
import signal
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from webui.containers.forms import fields
from webui.gateway import CreateContainer

_IMAGE: Final = re.compile(r"[A-Za-z0-9._:/@+\[\]-]+")
"""What names and digests of images consist of; how, the engine knows."""
NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_NAMES: Final = "|".join(each.name.removeprefix("SIG") for each in signal.Signals)
SIGNAL: Final = re.compile(rf"(SIG)?({_NAMES}|RT(MIN|MAX)([+-]\d\d?)?)|[1-9]\d?")


class CommandForm(forms.Form):
    rare = ("entrypoint", "working_dir", "user", "group_add", "init", "stop_signal", "stop_timeout")

    image = forms.CharField(
        label=_("Image"),
        max_length=512,
        help_text=_("Name and tag, such as debian:12 or host:5000/team/app."),
    )
    name = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=128,
        help_text=_("Such as web; left empty, the engine finds one, such as calm_hopper."),
    )
    command = fields.WordsField(
        label=_("Command"),
        help_text=_("Replaces the image's own, such as sleep 3600. Quotation marks keep words together."),
    )
    tty = forms.BooleanField(
        label=_("Terminal"),
        required=False,
        help_text=_("Give the command a terminal (-t). A shell such as bash needs it."),
    )
    open_stdin = forms.BooleanField(
        label=_("Interactive"),
        required=False,
        help_text=_("Keep its input open (-i). Without it, a shell ends at once."),
    )
    entrypoint = fields.WordsField(
        label=_("Entrypoint"),
        help_text=_("Replaces the image's own, such as /bin/sh -c; the command becomes its arguments."),
    )
    working_dir = forms.CharField(
        label=_("Working directory"), required=False, max_length=4096, help_text=_("Such as /srv/app.")
    )
    user = forms.CharField(
        label=_("User"), required=False, max_length=256, help_text=_("Name or number, such as www-data or 1000:1000.")
    )
    group_add = forms.CharField(
        label=_("Further groups"),
        required=False,
        max_length=1000,
        help_text=_("Names or numbers separated by spaces, such as audio 1001."),
    )
    init = forms.BooleanField(
        label=_("Init process"),
        required=False,
        help_text=_("A small init (--init) passes signals on and reaps children, for commands that do not."),
    )
    stop_signal = forms.CharField(
        label=_("Stop signal"),
        required=False,
        max_length=12,
        help_text=_("What asks it to end, such as SIGINT; empty is the image's, or SIGTERM."),
    )
    stop_timeout = forms.IntegerField(
        label=_("Stop timeout (seconds)"),
        required=False,
        min_value=0,
        max_value=86400,
        help_text=_("How long it may take to end before it is killed, such as 30; empty is 10."),
    )

    def clean_image(self) -> str:
        image: str = self.cleaned_data["image"].strip()
        if not _IMAGE.fullmatch(image):
            raise forms.ValidationError(
                _("Use letters, digits and “._-/:@” only, such as debian:12 or host:5000/team/app.")
            )
        return image

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"].strip().removeprefix("/")
        if name and not NAME.fullmatch(name):
            raise forms.ValidationError(
                _("Use at least two letters, digits, “_”, “.” or “-”, beginning with a letter or digit.")
            )
        return name

    def clean_working_dir(self) -> str:
        path: str = self.cleaned_data["working_dir"]
        if path and not path.startswith("/"):
            raise forms.ValidationError(fields.ABSOLUTE)
        return path

    def clean_stop_signal(self) -> str:
        name: str = self.cleaned_data["stop_signal"].strip().upper()
        if name and not SIGNAL.fullmatch(name):
            raise forms.ValidationError(_("Give a signal's name or number, such as SIGINT or 2."))
        return name

    def options(self) -> dict[str, Any]:
        """The fields of `CreateContainer` that this tab owns."""
        cleaned = self.cleaned_data
        kept = ("name", "entrypoint", "tty", "open_stdin", "working_dir", "user", "init", "stop_signal", "stop_timeout")
        return {name: cleaned[name] for name in kept} | {
            "image": cleaned["image"],
            "cmd": cleaned["command"],
            "group_add": tuple(cleaned["group_add"].split()),
        }

    @staticmethod
    def initial_of(request: CreateContainer) -> dict[str, Any]:
        """What the tab shows for *request*: `options` turned round."""
        return {
            "image": request.image,
            "name": request.name,
            "command": request.cmd,
            "entrypoint": request.entrypoint,
            "tty": request.tty,
            "open_stdin": request.open_stdin,
            "working_dir": request.working_dir,
            "user": request.user,
            "group_add": " ".join(request.group_add),
            "init": request.init,
            "stop_signal": request.stop_signal,
            "stop_timeout": request.stop_timeout,
        }
