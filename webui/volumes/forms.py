"""The form of a volume: parsed here, once, into what the engine's drivers take."""

from __future__ import annotations

import re
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from webui.environments.pairs import PairsField
from webui.volumes.services import VOLUME_NAME

KINDS: Final = (
    ("data", _("On this host, in a directory that the engine keeps. What almost everybody wants.")),
    ("directory", _("A directory of the host that is there already, under a volume's name.")),
    ("nfs", _("A share of an NFS server, mounted when a container needs it.")),
    ("cifs", _("A share of Windows or Samba, mounted when a container needs it.")),
    ("memory", _("In memory: fast, and gone with the last container that uses it.")),
)
"""What the local driver can do, each in a line."""

_HOST: Final = re.compile(r"[A-Za-z0-9_.\-:\[\]]{1,253}")


class VolumeForm(forms.Form):
    """A volume to be. Which fields count depends on the kind: those of the others are left alone.

    Those who are not *trusted* with the host are not offered its directories; the policy looks at the options anyway.
    """

    name = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=250,
        help_text=_("Containers mount it by this name, such as my-data. Empty: the engine finds one."),
    )
    kind = forms.ChoiceField(label=_("Kind"), required=False)
    path = forms.CharField(
        label=_("Directory of the host"),
        required=False,
        max_length=4096,
        help_text=_("Such as /srv/data; it must exist."),
    )
    server = forms.CharField(
        label=_("Server"), required=False, max_length=253, help_text=_("Name or address, such as nas.lan or 10.0.0.5.")
    )
    share = forms.CharField(
        label=_("Share"),
        required=False,
        max_length=1024,
        help_text=_("Its path on the server, such as /export/media (NFS) or media (CIFS)."),
    )
    nfs_version = forms.ChoiceField(label=_("Version"), required=False, choices=(("4", "NFS 4"), ("3", "NFS 3")))
    user = forms.CharField(label=_("User"), required=False, max_length=256)
    password = forms.CharField(
        label=_("Password"),
        required=False,
        max_length=256,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("The engine keeps it with the volume; whoever reaches the engine's socket can read it."),
    )
    read_only = forms.BooleanField(label=_("Read only"), required=False, help_text=_("Nobody writes into it."))
    megabytes = forms.IntegerField(
        label=_("At most (MB)"),
        required=False,
        min_value=1,
        max_value=1 << 22,
        help_text=_("How much memory it may take; empty: half of the host's."),
    )
    labels = PairsField(label=_("Labels"), help_text=_("One a line, such as team=web."))
    options = PairsField(
        label=_("Further options"), help_text=_("The driver's own, one name=value a line, as with -o.")
    )

    def __init__(
        self, *args: Any, available: tuple[str, ...] = ("local",), trusted: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        plugin = _("By a plugin of the engine; its options go below.")
        own = [(name, line) for name, line in KINDS if trusted or name != "directory"]
        self.kinds = [*own, *((name, plugin) for name in available if name != "local")]
        self.fields["kind"].choices = [(name, name) for name, _line in self.kinds]
        self.initial.setdefault("kind", "data")

    @property
    def chosen(self) -> str:
        return str(self["kind"].value() or "data")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"].strip()
        if name and not VOLUME_NAME.fullmatch(name):
            raise forms.ValidationError(_("Letters, digits, _ . and -, two at least; the first a letter or digit."))
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        kind = cleaned["kind"] = cleaned.get("kind") or "data"
        if kind == "directory" and not _is_path(cleaned.get("path", "")):
            self.add_error("path", _("Give a whole path that begins with a slash."))
        if kind in ("nfs", "cifs"):
            if not _HOST.fullmatch(cleaned.get("server", "")):
                self.add_error("server", _("Give the server's name or address."))
            share = cleaned.get("share", "")
            if kind == "nfs" and not _is_path(share):
                self.add_error("share", _("Give the whole path on the server, such as /export/media."))
            if kind == "cifs" and not share.strip("/"):
                self.add_error("share", _("Give the share's name, such as media."))
        if kind == "cifs":
            for field in ("user", "password"):
                if "," in cleaned.get(field, ""):
                    self.add_error(field, _("A comma cannot be in it: mount options are separated by commas."))
        return cleaned

    @property
    def driver(self) -> str:
        kind: str = self.cleaned_data["kind"]
        return "local" if kind in dict(KINDS) else kind

    def driver_options(self) -> dict[str, str]:
        """What the valid form asks of the driver: `type`, `o` and `device` of the local one."""
        cleaned = self.cleaned_data
        flags = ["ro"] if cleaned["read_only"] else []
        made: dict[str, str] = {}
        match cleaned["kind"]:
            case "directory":
                made = {"type": "none", "device": cleaned["path"], "o": ",".join(["bind", *flags])}
            case "nfs":
                words = [f"addr={cleaned['server']}", f"nfsvers={cleaned['nfs_version'] or '4'}", *flags]
                made = {"type": "nfs", "device": f":{cleaned['share']}", "o": ",".join(words)}
            case "cifs":
                words = [f"addr={cleaned['server']}"]
                words += [f"username={cleaned['user']}"] if cleaned["user"] else ["guest"]
                words += [f"password={cleaned['password']}"] if cleaned["password"] else []
                share = cleaned["share"].strip("/")
                made = {"type": "cifs", "device": f"//{cleaned['server']}/{share}", "o": ",".join([*words, *flags])}
            case "memory":
                words = [f"size={cleaned['megabytes']}m"] if cleaned["megabytes"] else []
                made = {"type": "tmpfs", "device": "tmpfs"} | ({"o": ",".join(words)} if words else {})
        return made | cleaned["options"]


def _is_path(text: str) -> bool:
    return text.startswith("/") and ".." not in text.split("/") and "\x00" not in text
