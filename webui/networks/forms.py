"""The forms of networks: parsed here, once, into the engine's `CreateNetwork` and what `connect` takes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from webui.accounts.powers import hidden
from webui.environments.pairs import PairsField
from webui.gateway import CreateNetwork, Subnet
from webui.networks import drivers

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
INTERFACE = re.compile(r"[^\s/:]{1,15}")
ALIAS = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?")

_WITH_PARENT = ("macvlan", "ipvlan")


class NetworkForm(forms.Form):
    """A network to be. Which fields count depends on the driver: those of the others are left alone.

    *routed* are the subnets that the host reaches otherwise, with the links that lead there: only those who are
    *trusted* with the host may have one of them all the same.
    """

    name = forms.CharField(label=_("Name"), max_length=128, help_text=_("By which containers join it, such as app."))
    driver = forms.ChoiceField(label=_("Kind"))
    subnet = forms.CharField(
        label=_("Subnet"),
        required=False,
        max_length=64,
        help_text=_("Such as 10.20.0.0/16. Empty: the engine takes a free one. Fixed addresses need one of yours."),
    )
    anyway = forms.BooleanField(
        label=_("Make it all the same"),
        required=False,
        help_text=_("The host, and every container on it, finds this network there instead for as long as it exists."),
    )
    gateway = forms.CharField(
        label=_("Gateway"),
        required=False,
        max_length=64,
        help_text=_("The way out, such as 10.20.0.1: usually the first."),
    )
    ip_range = forms.CharField(
        label=_("Range for containers"),
        required=False,
        max_length=64,
        help_text=_("Part of the subnet that is given out, such as 10.20.5.0/24; the rest stays yours."),
    )
    parent = forms.CharField(
        label=_("Parent"),
        required=False,
        max_length=15,
        help_text=_("The host's interface into your LAN, such as eth0. “ip link” on the host lists them."),
    )
    vlan = forms.IntegerField(
        label=_("VLAN"),
        required=False,
        min_value=1,
        max_value=4094,
        help_text=_("Its number where the LAN has them: the engine makes eth0.10 for 10. Empty: no VLAN."),
    )
    macvlan_mode = forms.ChoiceField(label=_("Among themselves"), required=False, choices=drivers.MACVLAN_MODES)
    ipvlan_mode = forms.ChoiceField(label=_("Mode"), required=False, choices=drivers.IPVLAN_MODES)
    internal = forms.BooleanField(
        label=_("Internal"), required=False, help_text=_("No way out: containers reach each other and nothing else.")
    )
    isolated = forms.BooleanField(
        label=_("Apart from each other"),
        required=False,
        help_text=_("Containers in it reach the outside, but not one another."),
    )
    attachable = forms.BooleanField(
        label=_("Attachable"), required=False, help_text=_("Containers of their own may join, not only services.")
    )
    ipv6 = forms.BooleanField(label=_("IPv6"), required=False, help_text=_("Addresses of both kinds."))
    subnet6 = forms.CharField(
        label=_("IPv6 subnet"), required=False, max_length=64, help_text=_("Such as fd00:20::/64.")
    )
    gateway6 = forms.CharField(
        label=_("IPv6 gateway"), required=False, max_length=64, help_text=_("Such as fd00:20::1.")
    )
    mtu = forms.IntegerField(
        label=_("MTU"),
        required=False,
        min_value=68,
        max_value=65535,
        help_text=_("The largest packet, in bytes; empty: the host's."),
    )
    bridge = forms.CharField(
        label=_("Bridge"),
        required=False,
        max_length=15,
        help_text=_("What the interface is called on the host, such as br-app; empty: by the network's id."),
    )
    labels = PairsField(label=_("Labels"), help_text=_("One a line, such as team=web."))
    options = PairsField(
        label=_("Further options of the driver"), help_text=_("One name=value a line, as -o takes them.")
    )

    def __init__(
        self,
        *args: Any,
        available: tuple[str, ...] = ("bridge",),
        routed: Mapping[str, str] | None = None,
        trusted: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._routed = routed or {}
        self._trusted = trusted
        self.hides = False
        self.kinds = [(name, drivers.line(name)) for name in available]
        self.missing = [(name, words) for name, words in drivers.MISSING.items() if name not in available]
        self.fields["driver"].choices = [(name, name) for name in available]
        if not self.is_bound and "driver" not in self.initial:
            self.initial["driver"] = available[0]

    @property
    def chosen(self) -> str:
        return str(self["driver"].value() or "")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"].strip()
        if not NAME.fullmatch(name):
            raise forms.ValidationError(_("Letters, digits, “_”, “.” and “-”; the first a letter or digit."))
        return name

    def clean_parent(self) -> str:
        return _interface(self.cleaned_data["parent"])

    def clean_bridge(self) -> str:
        return _interface(self.cleaned_data["bridge"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        self._pool(cleaned, "subnet", "gateway", "ip_range", version=4)
        self._pool(cleaned, "subnet6", "gateway6", "", version=6)
        if cleaned.get("subnet6") and not cleaned.get("ipv6"):
            cleaned["ipv6"] = True
        driver = cleaned.get("driver", "")
        if cleaned.get("vlan") and not cleaned.get("parent") and driver in _WITH_PARENT:
            self.add_error("parent", _("A VLAN is one of an interface: which?"))
        if driver in _WITH_PARENT and not cleaned.get("subnet") and "subnet" not in self.errors:
            self.add_error("subnet", _("Give your LAN's own: the engine cannot know which addresses are free in it."))
        for field in ("subnet", "subnet6"):
            if cleaned.get(field):
                self._apart_from_the_host(field, driver, cleaned[field], anyway=cleaned.get("anyway", False))
        return cleaned

    def request(self) -> CreateNetwork:
        """What the valid form asks for."""
        cleaned = self.cleaned_data
        pools = []
        if cleaned["subnet"]:
            pools.append(Subnet(subnet=cleaned["subnet"], gateway=cleaned["gateway"], ip_range=cleaned["ip_range"]))
        if cleaned["subnet6"]:
            pools.append(Subnet(subnet=cleaned["subnet6"], gateway=cleaned["gateway6"]))
        driver = cleaned["driver"]
        return CreateNetwork(
            name=cleaned["name"],
            driver=driver,
            pools=tuple(pools),
            internal=cleaned["internal"],
            ipv6=cleaned["ipv6"],
            attachable=cleaned["attachable"] and driver == "overlay",
            options=self._options() | cleaned["options"],
            labels=cleaned["labels"],
        )

    def _options(self) -> dict[str, str]:
        cleaned, options = self.cleaned_data, {}
        driver = cleaned["driver"]
        if driver in _WITH_PARENT:
            if cleaned["parent"]:
                options["parent"] = cleaned["parent"] + (f".{cleaned['vlan']}" if cleaned["vlan"] else "")
            if mode := cleaned[f"{driver}_mode"]:
                options[f"{driver}_mode"] = mode
        if driver == "bridge":
            if cleaned["isolated"]:
                options["com.docker.network.bridge.enable_icc"] = "false"
            if cleaned["bridge"]:
                options["com.docker.network.bridge.name"] = cleaned["bridge"]
        if cleaned["mtu"]:
            options["com.docker.network.driver.mtu"] = str(cleaned["mtu"])
        return options

    def _apart_from_the_host(self, field: str, driver: str, subnet: str, *, anyway: bool) -> None:
        """Whoever takes a subnet that the host reaches otherwise cuts the host off from it, and has to mean it."""
        for there, link in hidden(driver, [subnet], self._routed).items():
            self.hides = self._trusted
            if not (anyway and self._trusted):
                words = _("The host reaches %(subnet)s by %(link)s and would find it here instead: choose another.")
                self.add_error(field, words % {"subnet": there, "link": link})
                return

    def _pool(self, cleaned: dict[str, Any], subnet: str, gateway: str, ip_range: str, *, version: int) -> None:
        """Check one subnet and what must lie in it; an address of its own in a subnet's place is put right."""
        network = self._network(cleaned, subnet, version)
        for field in (gateway, ip_range):
            if not (text := cleaned.get(field)):
                continue
            if network is None:
                if subnet not in self.errors:
                    self.add_error(subnet, _("Without a subnet there is nothing for it to lie in."))
                continue
            try:
                inside = ipaddress.ip_network(text, strict=False) if field == ip_range else ipaddress.ip_network(text)
            except ValueError:
                self.add_error(field, _("That is no address, such as 10.20.0.1, or range, such as 10.20.5.0/24."))
                continue
            if inside.version != network.version or not inside.subnet_of(network):  # type: ignore[arg-type]
                self.add_error(field, _("It lies outside %(subnet)s.") % {"subnet": network})
            else:
                cleaned[field] = str(inside) if field == ip_range else str(inside.network_address)

    def _network(
        self, cleaned: dict[str, Any], field: str, version: int
    ) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
        if not (text := cleaned.get(field)):
            return None
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            network = None
        if network is None or network.version != version or "/" not in text:
            example = "10.20.0.0/16" if version == 4 else "fd00:20::/64"
            self.add_error(field, _("Write it as %(example)s.") % {"example": example})
            return None
        cleaned[field] = str(network)
        return network


class ConnectForm(forms.Form):
    """A container to give a place in a network."""

    container = forms.CharField(
        label=_("Container"),
        max_length=128,
        widget=forms.TextInput(attrs={"list": "others", "autocomplete": "off"}),
        help_text=_("Its name or id. It keeps the networks that it is in."),
    )
    aliases = forms.CharField(
        label=_("Further names"),
        required=False,
        max_length=1000,
        help_text=_("By which others in this network find it, such as db cache; its own name is one already."),
    )
    ipv4 = forms.GenericIPAddressField(
        label=_("IPv4 address"), required=False, protocol="IPv4", help_text=_("Fixed; empty: the next free one.")
    )
    ipv6 = forms.GenericIPAddressField(label=_("IPv6 address"), required=False, protocol="IPv6")

    def clean_aliases(self) -> tuple[str, ...]:
        words = tuple(self.cleaned_data["aliases"].replace(",", " ").split())
        for word in words:
            if not ALIAS.fullmatch(word):
                raise forms.ValidationError(_("“%(word)s” cannot be a name in a network.") % {"word": word[:64]})
        return words


def _interface(name: str) -> str:
    name = name.strip()
    if name and not INTERFACE.fullmatch(name):
        raise forms.ValidationError(_("An interface's name has up to 15 characters, none of them “/”, “:” or a space."))
    return name
