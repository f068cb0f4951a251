"""What a container may do, of the container form. The fields that reach beyond it are for administrators."""

from __future__ import annotations

import re
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from webui.containers.forms import fields
from webui.gateway import CreateContainer, Device

_CAPABILITY: Final = re.compile(r"(CAP_)?[A-Z][A-Z_]{1,30}")
_SYSCTL: Final = re.compile(r"[a-z0-9_]+([./][a-zA-Z0-9_-]+)+")


def device(line: str) -> Device:
    """`/dev/host[:/dev/container][:rwm]` of --device."""
    source, *rest = line.split(":")
    target = rest[0] if rest and rest[0].startswith("/") else source
    permissions = rest[-1] if rest and not rest[-1].startswith("/") else "rwm"
    if not source.startswith("/") or len(rest) > 2 or not permissions or set(permissions) - set("rwm"):
        raise ValueError(_("give /dev/name, or /dev/name:/dev/other:rw"))
    return Device(source=source, target=target, permissions=permissions)


def device_text(each: Device) -> str:
    target = f":{each.target}" if each.target != each.source or each.permissions != "rwm" else ""
    return each.source + target + (f":{each.permissions}" if each.permissions != "rwm" else "")


def sysctl(line: str) -> tuple[str, str]:
    name, value = fields.pair(line)
    if not _SYSCTL.fullmatch(name) or not value:
        raise ValueError(_("give name=value, such as net.core.somaxconn=1024"))
    return name, value


class SecurityForm(forms.Form):
    rare = ("sysctls", "devices", "pid_mode", "ipc_mode")
    powerful = ("privileged", "devices", "pid_mode", "ipc_mode")
    """What only those are shown who may give a container power over its host."""

    no_new_privileges = forms.BooleanField(
        label=_("No new privileges"),
        required=False,
        help_text=_("Its processes gain no rights by running a program such as sudo or su."),
    )
    privileged = forms.BooleanField(
        label=_("Privileged"),
        required=False,
        help_text=_("It may do to the host whatever root may (--privileged). Only for what you trust as root."),
    )
    cap_drop = forms.CharField(
        label=_("Capabilities to take away"),
        required=False,
        max_length=2000,
        help_text=_("Separated by spaces, such as NET_RAW MKNOD; ALL takes every one."),
    )
    cap_add = forms.CharField(
        label=_("Capabilities to add"),
        required=False,
        max_length=2000,
        help_text=_("Separated by spaces, such as NET_BIND_SERVICE; beyond the usual ones, administrators only."),
    )
    sysctls = fields.LinesField(
        parse=sysctl,
        show=fields.pair_text,
        label=_("Kernel settings (sysctl)"),
        help_text=_("Of its own namespaces, one a line, such as net.core.somaxconn=1024."),
    )
    devices = fields.LinesField(
        parse=device,
        show=device_text,
        label=_("Devices"),
        help_text=_("One a line, such as /dev/ttyUSB0 or /dev/sda:/dev/xvda:r."),
    )
    pid_mode = forms.ChoiceField(
        label=_("Processes it sees"),
        choices=(("", _("its own")), ("host", _("the host's"))),
        required=False,
        help_text=_("With the host's, it sees and can signal every process (--pid host)."),
    )
    ipc_mode = forms.ChoiceField(
        label=_("Shared memory and semaphores"),
        choices=(("", _("its own")), ("shareable", _("its own, others may join")), ("host", _("the host's"))),
        required=False,
        help_text=_("Whose they are (--ipc), such as its own."),
    )

    def __init__(self, *args: Any, trusted: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("pid_mode", "ipc_mode"):
            chosen = (self.initial or {}).get(name, "")
            choices = list(self.fields[name].choices)
            if chosen and chosen not in dict(choices):
                self.fields[name].choices = [*choices, (chosen, chosen)]
        if not trusted:
            for name in self.powerful:
                del self.fields[name]

    def clean_cap_add(self) -> tuple[str, ...]:
        return _capabilities(self.cleaned_data["cap_add"])

    def clean_cap_drop(self) -> tuple[str, ...]:
        return _capabilities(self.cleaned_data["cap_drop"])

    def options(self) -> dict[str, Any]:
        """Without the fields that a person is not shown: those of the request before stay."""
        found = {name: value for name, value in self.cleaned_data.items() if name in self.fields}
        return found | {"sysctls": dict(found["sysctls"])}

    @staticmethod
    def initial_of(request: CreateContainer) -> dict[str, Any]:
        return {
            "no_new_privileges": request.no_new_privileges,
            "privileged": request.privileged,
            "cap_add": " ".join(request.cap_add),
            "cap_drop": " ".join(request.cap_drop),
            "sysctls": tuple(request.sysctls.items()),
            "devices": request.devices,
            "pid_mode": request.pid_mode,
            "ipc_mode": request.ipc_mode,
        }


def _capabilities(text: str) -> tuple[str, ...]:
    names = text.upper().replace(",", " ").split()
    for name in names:
        if not _CAPABILITY.fullmatch(name):
            raise forms.ValidationError(_("“%(name)s” is no capability.") % {"name": name[:60]})
    return tuple(dict.fromkeys(names))
