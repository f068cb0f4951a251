"""Volumes, binds and file systems in memory of the container form."""

from __future__ import annotations

import re
from typing import Any, Final

from django import forms
from django.forms import formset_factory
from django.utils.translation import gettext_lazy as _

from webui.containers.forms import fields
from webui.gateway import BindMount, CreateContainer
from webui.volumes.services import VOLUME_NAME

_OPTIONS: Final = re.compile(r"[a-zA-Z0-9=,_.%-]{1,500}")


def tmpfs_entry(line: str) -> tuple[str, str]:
    """`/place` or `/place:options` of --tmpfs."""
    place, _separator, options = line.partition(":")
    if not place.startswith("/"):
        raise ValueError(_("begin with a slash: the path is inside the container"))
    if options and not _OPTIONS.fullmatch(options):
        raise ValueError(_("after the colon come options such as size=64m,mode=1777"))
    return place, options


class StorageForm(forms.Form):
    rare = ("tmpfs", "shm_size")

    read_only = forms.BooleanField(
        label=_("Read-only file system"),
        required=False,
        help_text=_("The image's files cannot be changed; volumes, binds and tmpfs can (--read-only)."),
    )
    tmpfs = fields.LinesField(
        parse=tmpfs_entry,
        show=lambda found: f"{found[0]}:{found[1]}" if found[1] else found[0],
        label=_("In memory (tmpfs)"),
        help_text=_("One a line, such as /run or /tmp:size=64m; what is written there is gone when it stops."),
    )
    shm_size = fields.SizeField(
        label=_("Shared memory"), help_text=_("Size of /dev/shm, such as 1g for databases and browsers; empty is 64m.")
    )

    def options(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        return {
            "read_only": cleaned["read_only"],
            "tmpfs": dict(cleaned["tmpfs"]),
            "shm_size": cleaned["shm_size"],
        }

    @staticmethod
    def initial_of(request: CreateContainer) -> dict[str, Any]:
        return {
            "read_only": request.read_only,
            "tmpfs": tuple(request.tmpfs.items()),
            "shm_size": request.shm_size,
        }


class BindForm(forms.Form):
    source = forms.CharField(label=_("Volume, or path on the host"), required=False, max_length=4096)
    target = forms.CharField(label=_("Path in the container"), required=False, max_length=4096)
    read_only = forms.BooleanField(label=_("Read only"), required=False)
    # Words of a bind that a copied container brings along, such as rshared: kept, not shown.
    options = forms.RegexField(r"^[a-zA-Z,]*$", required=False, max_length=60, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for field in ("source", "target"):
            value, other = cleaned.get(field), cleaned.get("target" if field == "source" else "source")
            if other and not value:
                self.add_error(field, _("Give both paths."))
            elif value and field == "source" and VOLUME_NAME.fullmatch(value):
                continue
            elif value and (not value.startswith("/") or ":" in value):
                self.add_error(field, _("Give a whole path that begins with a slash and has no colon."))
        return cleaned


BindFormSet = formset_factory(BindForm, extra=1, max_num=100, absolute_max=100)


def binds_of(rows: list[dict[str, Any]]) -> tuple[BindMount, ...]:
    return tuple(
        BindMount(source=row["source"], target=row["target"], read_only=row["read_only"], options=row["options"])
        for row in rows
    )


def rows_of_binds(request: CreateContainer) -> list[dict[str, Any]]:
    return [
        {"source": bind.source, "target": bind.target, "read_only": bind.read_only, "options": bind.options}
        for bind in request.binds
    ]
