"""The form that makes a container, in tabs; each tab is a form that owns some fields of `CreateContainer`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from django import forms
from django.forms import BaseFormSet
from django.utils.translation import gettext_lazy as _

from webui.accounts.powers import Power
from webui.containers.forms import network, pairs, storage
from webui.containers.forms.command import CommandForm
from webui.containers.forms.life import LifeForm
from webui.containers.forms.network import NetworkForm
from webui.containers.forms.resources import ResourcesForm
from webui.containers.forms.security import SecurityForm
from webui.containers.forms.storage import StorageForm
from webui.gateway import CreateContainer

_PLACES: Final = {
    "Privileged": ("security", "privileged"),
    "CapAdd": ("security", "cap_add"),
    "Devices": ("security", "devices"),
    "Sysctls": ("security", "sysctls"),
    "NetworkMode": ("network", "network"),
    "PidMode": ("security", "pid_mode"),
    "IpcMode": ("security", "ipc_mode"),
    "LogConfig": ("resources", "log_driver"),
}
"""Where the form has the settings that give power over the host."""


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab as the page shows it: a form, perhaps rows beside it, and how many mistakes there are."""

    name: str
    label: str
    form: forms.Form | None
    rows: BaseFormSet[Any] | None = None

    @property
    def usual(self) -> list[Any]:
        return [self.form[name] for name in self.form.fields if name not in self.form.rare] if self.form else []

    @property
    def rare(self) -> list[Any]:
        return [self.form[name] for name in self.form.fields if name in self.form.rare] if self.form else []

    @property
    def rare_open(self) -> bool:
        """Whether the rare fields have something to look at: a mistake, or a value that was given."""
        return any(field.errors or (field.value() and field.value() != field.field.initial) for field in self.rare)

    @property
    def mistakes(self) -> int:
        found = len(self.form.errors) if self.form and self.form.is_bound else 0
        if self.rows is not None and self.rows.is_bound:
            found += sum(len(errors) for errors in self.rows.errors)
        return found


class CreateForms:
    """All tabs, bound together: valid when each of them is.

    *before* is what the form begins with, and what it keeps that no field of it owns. *trusted* people may give a
    container power over its host, and see the fields for that.
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        networks: tuple[str, ...],
        before: CreateContainer | None = None,
        trusted: bool = True,
    ) -> None:
        self.before = before or CreateContainer(image="", no_new_privileges=not trusted)
        given = self.before
        self.command = CommandForm(data, initial=CommandForm.initial_of(given))
        self.network = NetworkForm(data, initial=NetworkForm.initial_of(given), networks=networks)
        self.storage = StorageForm(data, initial=StorageForm.initial_of(given))
        self.life = LifeForm(data, initial=LifeForm.initial_of(given))
        self.resources = ResourcesForm(data, initial=ResourcesForm.initial_of(given))
        self.security = SecurityForm(data, initial=SecurityForm.initial_of(given), trusted=trusted)
        self.ports = network.PortFormSet(data, prefix="ports", initial=network.rows_of_ports(given))
        self.binds = storage.BindFormSet(data, prefix="binds", initial=storage.rows_of_binds(given))
        self.variables = pairs.VariableFormSet(data, prefix="variables", initial=pairs.rows_of_variables(given.env))
        labels = [{"name": name, "value": value} for name, value in given.labels.items()]
        self.labels = pairs.LabelFormSet(data, prefix="labels", initial=labels)

    @property
    def tabs(self) -> list[Tab]:
        return [
            Tab("command", _("Image and command"), self.command),
            Tab("network", _("Ports and networks"), self.network, self.ports),
            Tab("storage", _("Volumes"), self.storage, self.binds),
            Tab("variables", _("Environment"), None, self.variables),
            Tab("life", _("Restart and health"), self.life),
            Tab("resources", _("Resources"), self.resources),
            Tab("security", _("Security"), self.security),
            Tab("labels", _("Labels"), None, self.labels),
        ]

    @property
    def mistakes(self) -> int:
        return sum(tab.mistakes for tab in self.tabs)

    def is_valid(self) -> bool:
        # Every part is asked, so that all mistakes show at once.
        valid = [part.is_valid() for part in self._parts()]
        return all(valid)

    def errors(self) -> dict[str, list[str]]:
        """What is wrong, by the field's name in the page."""
        self.is_valid()
        found: dict[str, list[str]] = {}
        for part in self._parts():
            for form in part if isinstance(part, BaseFormSet) else (part,):
                for name, words in form.errors.items():
                    found[form.add_prefix(name)] = [str(word) for word in words]
        return found

    def refuse(self, powers: tuple[Power, ...]) -> list[str]:
        """Say at its field what the person may not ask for; answers the words for what has no field here."""
        rest = []
        for power in powers:
            words = _("Only an administrator may give it %(what)s.") % {"what": power.words}
            part, name = _PLACES.get(power.setting, ("", ""))
            form = getattr(self, part, None)
            row = self._bind_of(power)
            if row is not None:
                row.add_error("source", words)
            elif form is not None and name in form.fields:
                form.add_error(name, words)
            else:
                rest.append(str(words))
        return rest

    def request(self) -> CreateContainer:
        """What the valid forms ask for."""
        options: dict[str, Any] = {}
        for form in (self.command, self.network, self.storage, self.life, self.resources, self.security):
            options |= form.options()
        # A port that is only exposed has no row, and stays.
        exposed = tuple(port for port in self.before.ports if port.host_port is None)
        return replace(
            self.before,
            **options,
            base={**self.before.base, **self._endpoints(options["network"])},
            ports=(*network.ports_of(_filled(self.ports, "container_port")), *exposed),
            binds=storage.binds_of(_filled(self.binds, "source")),
            env=tuple(f"{row['name']}={row['value']}" for row in _filled(self.variables, "name")),
            labels={row["name"]: row["value"] for row in _filled(self.labels, "name")},
        )

    def _endpoints(self, first: str) -> dict[str, Any]:
        """The body's word on networks: those that were there keep what they asked for, new ones ask for nothing."""
        before = network.endpoints_of(self.before)
        names = [name for name in (first, *self.network.further_networks) if name in before or name != first]
        if not names and not before:
            return {}
        return {"NetworkingConfig": {"EndpointsConfig": {name: before.get(name, {}) for name in names}}}

    def _bind_of(self, power: Power) -> Any:
        if power.setting != "Binds":
            return None
        rows = [row for row in self.binds if row.cleaned_data.get("source")]
        return next((row for row in rows if row.cleaned_data["source"] in power.words), None)

    def _parts(self) -> Iterator[Any]:
        yield from (self.command, self.network, self.storage, self.life, self.resources, self.security)
        yield from (self.ports, self.binds, self.variables, self.labels)


def _filled(rows: BaseFormSet[Any], field: str) -> list[dict[str, Any]]:
    return [form.cleaned_data for form in rows if form.cleaned_data.get(field)]
