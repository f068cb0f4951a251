"""Ports and networks of the container form."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final

from django import forms
from django.forms import formset_factory
from django.utils.translation import gettext_lazy as _

from webui.containers.forms import fields
from webui.gateway import CreateContainer, Port

_HOST: Final = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9])?")


def host_entry(line: str) -> str:
    """`name:address` of a line of --add-host; host-gateway stands for the host."""
    name, _separator, address = line.partition(":")
    if not _HOST.fullmatch(name):
        raise ValueError(_("begin with a name, then a colon"))
    if address != "host-gateway":
        try:
            ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            raise ValueError(_("after the colon comes an address, or host-gateway")) from None
    return f"{name}:{address}"


def address(line: str) -> str:
    try:
        return str(ipaddress.ip_address(line))
    except ValueError:
        raise ValueError(_("give an address such as 9.9.9.9")) from None


def endpoints_of(request: CreateContainer) -> dict[str, Any]:
    """The networks that *request* names with what it asks of each."""
    endpoints: dict[str, Any] = (request.base.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    return endpoints


class NetworkForm(forms.Form):
    rare = ("further", "hostname", "domainname", "extra_hosts", "dns", "dns_search", "publish_all")

    network = forms.ChoiceField(
        label=_("Network"),
        required=False,
        help_text=_("bridge: an address of its own behind the host. host: the host's network. none: no network."),
    )
    further = forms.MultipleChoiceField(
        label=_("Further networks"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("It is in these as well, such as back beside front."),
    )
    hostname = forms.CharField(
        label=_("Host name"), required=False, max_length=253, help_text=_("What the container calls itself: web-1.")
    )
    domainname = forms.CharField(
        label=_("Domain"), required=False, max_length=253, help_text=_("Its domain, such as example.org.")
    )
    extra_hosts = fields.LinesField(
        parse=host_entry,
        label=_("Extra hosts"),
        help_text=_("One a line: db:10.0.0.5, or host.docker.internal:host-gateway for the host."),
    )
    dns = fields.LinesField(
        parse=address, label=_("DNS servers"), help_text=_("One a line, such as 9.9.9.9; empty is the host's.")
    )
    dns_search = forms.CharField(
        label=_("DNS search domains"),
        required=False,
        max_length=1000,
        help_text=_("Separated by spaces, such as example.org lan."),
    )
    publish_all = forms.BooleanField(
        label=_("Publish every exposed port"),
        required=False,
        help_text=_("Each port that the image names gets a free port of the host (-P)."),
    )

    def __init__(self, *args: Any, networks: tuple[str, ...] = ("bridge", "host", "none"), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = (self.initial or {}).get("network", "")
        # A container that is copied may share another one's network, which is no network of the list.
        names = networks if chosen in ("", *networks) else (*networks, chosen)
        self.fields["network"].choices = [(name, name) for name in names]
        already = (self.initial or {}).get("further", ())
        own = [name for name in dict.fromkeys((*networks, *already)) if name not in ("bridge", "host", "none")]
        self.fields["further"].choices = [(name, name) for name in own]
        if not own:
            del self.fields["further"]

    def clean_hostname(self) -> str:
        name: str = self.cleaned_data["hostname"].strip()
        if name and not _HOST.fullmatch(name):
            raise forms.ValidationError(_("Letters, digits, dots and hyphens, such as web-1."))
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("further") and cleaned.get("network") in ("host", "none"):
            self.add_error("further", _("With the host's network, or none, there are no others."))
        return cleaned

    @property
    def further_networks(self) -> tuple[str, ...]:
        """Those beside the first."""
        return tuple(name for name in self.cleaned_data.get("further", ()) if name != self.cleaned_data["network"])

    def options(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        kept = ("network", "hostname", "domainname", "extra_hosts", "dns", "publish_all")
        return {name: cleaned[name] for name in kept} | {"dns_search": tuple(cleaned["dns_search"].split())}

    @staticmethod
    def initial_of(request: CreateContainer) -> dict[str, Any]:
        return {
            "network": request.network or "bridge",
            "further": tuple(name for name in endpoints_of(request) if name != request.network),
            "hostname": request.hostname,
            "domainname": request.domainname,
            "extra_hosts": request.extra_hosts,
            "dns": request.dns,
            "dns_search": " ".join(request.dns_search),
            "publish_all": request.publish_all,
        }


class PortForm(forms.Form):
    host_port = forms.IntegerField(label=_("Host port"), required=False, min_value=0, max_value=65535)
    container_port = forms.IntegerField(label=_("Container port"), required=False, min_value=1, max_value=65535)
    protocol = forms.ChoiceField(
        label=_("Protocol"), choices=(("tcp", "tcp"), ("udp", "udp"), ("sctp", "sctp")), initial="tcp", required=False
    )
    host_ip = forms.GenericIPAddressField(label=_("Host address"), required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if (cleaned.get("host_port") or cleaned.get("host_ip")) and not cleaned.get("container_port"):
            self.add_error("container_port", _("Which port of the container shall answer?"))
        return cleaned


PortFormSet = formset_factory(PortForm, extra=1, max_num=500, absolute_max=500)


def ports_of(rows: list[dict[str, Any]]) -> tuple[Port, ...]:
    return tuple(
        Port(
            container_port=row["container_port"],
            protocol=row["protocol"] or "tcp",
            host_ip=row["host_ip"],
            host_port=row["host_port"] or 0,
        )
        for row in rows
    )


def rows_of_ports(request: CreateContainer) -> list[dict[str, Any]]:
    return [
        {
            "host_port": port.host_port or None,
            "container_port": port.container_port,
            "protocol": port.protocol,
            "host_ip": port.host_ip,
        }
        for port in request.ports
        if port.host_port is not None
    ]
