"""The form that makes a container: parsed here, once, into the engine's `CreateContainer`."""

from __future__ import annotations

import re
import shlex
from typing import Any

from django import forms
from django.forms import BaseFormSet, formset_factory
from django.utils.translation import gettext_lazy as _

from webui.gateway import BindMount, CreateContainer, Port
from webui.volumes.services import VOLUME_NAME

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
VARIABLE = re.compile(r"[^=\s\x00]+")


class RestartPolicy(forms.ChoiceField):
    CHOICES = (
        ("no", _("No: when it ends, it stays ended")),
        ("on-failure", _("On failure: again when it ends with an error")),
        ("unless-stopped", _("Unless stopped: always, but not after you stopped it")),
        ("always", _("Always: even after the host restarts")),
    )


class ContainerForm(forms.Form):
    """Everything that is there once; ports, binds and variables are formsets beside it."""

    image = forms.CharField(
        label=_("Image"),
        max_length=512,
        help_text=_("Name and tag, such as debian:12 or host:5000/team/app."),
    )
    name = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=128,
        help_text=_("Left empty, the engine finds one, such as calm_hopper."),
    )
    command = forms.CharField(
        label=_("Command"),
        required=False,
        max_length=8192,
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
    auto_remove = forms.BooleanField(
        label=_("Remove when it ends"),
        required=False,
        help_text=_("The container and what it wrote are gone after its command ends (--rm)."),
    )
    network = forms.ChoiceField(
        label=_("Network"),
        required=False,
        help_text=_("bridge: an address of its own behind the host. host: the host's network. none: no network."),
    )
    restart_policy = RestartPolicy(
        label=_("Restart"),
        choices=RestartPolicy.CHOICES,
        initial="no",
        help_text=_("What happens when its command ends."),
    )
    maximum_retries = forms.IntegerField(
        label=_("Retries"),
        required=False,
        min_value=0,
        max_value=1_000_000,
        help_text=_("Only with “On failure”: how often at most; 0 is without end."),
    )
    working_dir = forms.CharField(
        label=_("Working directory"), required=False, max_length=4096, help_text=_("Such as /srv/app.")
    )
    user = forms.CharField(
        label=_("User"), required=False, max_length=256, help_text=_("Name or number, such as www-data or 1000:1000.")
    )
    hostname = forms.CharField(
        label=_("Host name"), required=False, max_length=253, help_text=_("What the container calls itself.")
    )
    memory = forms.IntegerField(
        label=_("Memory (MB)"),
        required=False,
        min_value=6,
        max_value=1 << 30,
        help_text=_("At most so much; empty is no limit."),
    )
    cpus = forms.DecimalField(
        label=_("CPUs"),
        required=False,
        min_value=0,
        max_value=4096,
        decimal_places=2,
        help_text=_("At most so many, such as 1.5; empty is no limit."),
    )

    def __init__(self, *args: Any, networks: tuple[str, ...] = ("bridge", "host", "none"), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["network"].choices = [(name, name) for name in networks]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"].strip().removeprefix("/")
        if name and not NAME.fullmatch(name):
            raise forms.ValidationError(
                _("Use at least two letters, digits, “_”, “.” or “-”, beginning with a letter or digit.")
            )
        return name

    def clean_command(self) -> tuple[str, ...] | None:
        try:
            return tuple(shlex.split(self.cleaned_data["command"])) or None
        except ValueError as error:
            raise forms.ValidationError(_("A quotation mark is not closed.")) from error

    def clean_working_dir(self) -> str:
        path: str = self.cleaned_data["working_dir"]
        if path and not path.startswith("/"):
            raise forms.ValidationError(_("Begin with a slash: the path is inside the container."))
        return path

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("auto_remove") and cleaned.get("restart_policy", "no") != "no":
            self.add_error("auto_remove", _("A container that restarts cannot be removed when it ends: choose one."))
        if cleaned.get("maximum_retries") and cleaned.get("restart_policy") != "on-failure":
            self.add_error("maximum_retries", _("Retries count only with “On failure”."))
        return cleaned


class PortForm(forms.Form):
    host_port = forms.IntegerField(label=_("Host port"), required=False, min_value=1, max_value=65535)
    container_port = forms.IntegerField(label=_("Container port"), required=False, min_value=1, max_value=65535)
    protocol = forms.ChoiceField(label=_("Protocol"), choices=(("tcp", "tcp"), ("udp", "udp")), initial="tcp")
    host_ip = forms.GenericIPAddressField(label=_("Host address"), required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if (cleaned.get("host_port") or cleaned.get("host_ip")) and not cleaned.get("container_port"):
            self.add_error("container_port", _("Which port of the container shall answer?"))
        return cleaned


class BindForm(forms.Form):
    source = forms.CharField(label=_("Volume, or path on the host"), required=False, max_length=4096)
    target = forms.CharField(label=_("Path in the container"), required=False, max_length=4096)
    read_only = forms.BooleanField(label=_("Read only"), required=False)

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


class VariableForm(forms.Form):
    name = forms.CharField(label=_("Name"), required=False, max_length=256)
    value = forms.CharField(label=_("Value"), required=False, max_length=32768, strip=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        name = cleaned.get("name", "")
        if cleaned.get("value") and not name:
            self.add_error("name", _("Give the variable a name."))
        elif name and not VARIABLE.fullmatch(name):
            self.add_error("name", _("A name has no spaces and no “=”."))
        return cleaned


PortFormSet = formset_factory(PortForm, extra=1, max_num=500, absolute_max=500)
BindFormSet = formset_factory(BindForm, extra=1, max_num=100, absolute_max=100)
VariableFormSet = formset_factory(VariableForm, extra=1, max_num=500, absolute_max=500)


class CreateForms:
    """The form and its three formsets, bound together: valid when all of them are."""

    def __init__(self, data: Any = None, *, networks: tuple[str, ...], initial: dict[str, Any] | None = None) -> None:
        self.container = ContainerForm(data, networks=networks, initial=initial)
        self.ports: BaseFormSet[PortForm] = PortFormSet(data, prefix="ports")
        self.binds: BaseFormSet[BindForm] = BindFormSet(data, prefix="binds")
        self.variables: BaseFormSet[VariableForm] = VariableFormSet(data, prefix="variables")

    def is_valid(self) -> bool:
        # Every part is asked, so that all mistakes show at once.
        valid = [part.is_valid() for part in (self.container, self.ports, self.binds, self.variables)]
        return all(valid)

    def request(self) -> CreateContainer:
        """What the valid forms ask for."""
        cleaned = self.container.cleaned_data
        return CreateContainer(
            image=cleaned["image"].strip(),
            name=cleaned["name"],
            cmd=cleaned["command"],
            env=tuple(f"{row['name']}={row['value']}" for row in _filled(self.variables, "name")),
            ports=tuple(
                Port(
                    container_port=row["container_port"],
                    protocol=row["protocol"],
                    host_ip=row["host_ip"],
                    host_port=row["host_port"] or 0,
                )
                for row in _filled(self.ports, "container_port")
            ),
            binds=tuple(
                BindMount(source=row["source"], target=row["target"], read_only=row["read_only"])
                for row in _filled(self.binds, "source")
            ),
            network=cleaned["network"],
            restart_policy=cleaned["restart_policy"],
            maximum_retries=cleaned["maximum_retries"] or 0,
            tty=cleaned["tty"],
            open_stdin=cleaned["open_stdin"],
            auto_remove=cleaned["auto_remove"],
            working_dir=cleaned["working_dir"],
            user=cleaned["user"],
            hostname=cleaned["hostname"],
            memory=(cleaned["memory"] or 0) * 1_000_000,
            nano_cpus=int((cleaned["cpus"] or 0) * 1_000_000_000),
        )


def _filled(rows: BaseFormSet[Any], field: str) -> list[dict[str, Any]]:
    return [form.cleaned_data for form in rows if form.cleaned_data.get(field)]
