"""The network pages, with Havre's engine and with a stock dockerd behind them: the API is Docker's, nothing more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from tests.fixtures.daemons import Daemon, HavreDaemon
from webui import gateway
from webui.accounts import policy
from webui.accounts.models import User
from webui.environments.models import Environment
from webui.networks.forms import NetworkForm
from webui.networks.services import network_create

HTMX = {"HX-Request": "true"}


@pytest.fixture
def browser(operator: User, either: Environment, signed_in: Callable[[User | None], Client]) -> Client:
    return signed_in(operator)


@pytest.fixture(autouse=True)
def _no_networks(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "daemon" in request.fixturenames:
        daemon = request.getfixturevalue("daemon")
        daemon.remove_everything()
        daemon.docker("network", "prune", "-f")


def _inspect(daemon: Daemon, network: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(daemon.docker("network", "inspect", network).stdout)[0]
    return found


def _text(browser: Client, address: str) -> str:
    return browser.get(address).content.decode()


def test_a_network_is_made_used_and_removed(browser: Client, daemon: Daemon) -> None:
    assert "own networks so far" in _text(browser, "/e/local/networks/")
    form = {"name": "app", "driver": "bridge", "subnet": "10.77.0.9/24", "gateway": "10.77.0.254", "labels": "team=web"}
    answer = browser.post("/e/local/networks/new/", {**form, "isolated": "on", "mtu": "1300"})
    assert answer.status_code == 302
    found = _inspect(daemon, "app")
    assert found["IPAM"]["Config"] == [{"Subnet": "10.77.0.0/24", "Gateway": "10.77.0.254"}]
    assert found["Options"] == {
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.driver.mtu": "1300",
    }
    assert found["Labels"] == {"team": "web"}
    page = _text(browser, answer["Location"])
    assert "docker network create" in page
    assert "--gateway 10.77.0.254" in page
    assert "Nothing breaks" in page

    daemon.docker("pull", "-q", "busybox")
    ports = ("-p", "8080:80", "-p", "8053:53/udp")
    daemon.docker("run", "-d", "--name", "web", *ports, "busybox", "sleep", "600")
    connect = {"container": "web", "aliases": "www, site", "ipv4": "10.77.0.9"}
    answer = browser.post("/e/local/networks/app/connect/", connect, headers=HTMX)
    assert answer.status_code == 200
    assert "is in the network now" in answer.content.decode()
    fragment = browser.get("/e/local/networks/app/", headers=HTMX).content.decode()
    assert "<html" not in fragment
    assert fragment.count('data-controller="port"') == 1, "a browser opens none but TCP's"
    for words in (
        "10.77.0.9/24",
        "8053",
        "<code>www</code>",
        "<code>site</code>",
        'data-port-number-value="8080"',
        "web runs",
    ):
        assert words in fragment, words
    assert ">web</a>" in _text(browser, f"/e/local/networks/{found['Id']}/row/")

    refused = browser.post("/e/local/networks/remove/", {"networks": ["app"]}, headers=HTMX).content.decode()
    assert "active endpoints" in refused
    browser.post("/e/local/networks/app/disconnect/", {"container": "web"})
    assert _inspect(daemon, "app")["Containers"] == {}
    browser.post("/e/local/networks/app/connect/", connect)
    gone = browser.post(
        "/e/local/networks/remove/", {"networks": [found["Id"]], "disconnect": "1", "leave": "1"}, headers=HTMX
    )
    assert gone["HX-Redirect"] == "/e/local/networks/"
    assert "app" not in daemon.docker("network", "ls", "--format", "{{.Name}}").stdout.split()
    assert "This network is gone" in browser.get(f"/e/local/networks/{found['Id']}/", headers=HTMX).content.decode()
    assert _text(browser, f"/e/local/networks/{found['Id']}/row/") == ""


def test_a_stopped_container_is_told_of(browser: Client, daemon: Daemon) -> None:
    daemon.docker("network", "create", "app")
    daemon.docker("pull", "-q", "busybox")
    daemon.docker("create", "--name", "sleeper", "--network", "app", "busybox")
    page = _text(browser, "/e/local/networks/app/")
    assert "sleeper is stopped: it will not start any more" in page
    assert ">sleeper</a>" in _text(browser, "/e/local/networks/?q=driver:bridge app")


def test_the_unused_ones_are_named_before_and_after(browser: Client, daemon: Daemon) -> None:
    daemon.docker("network", "create", "lonely")
    page = _text(browser, "/e/local/networks/?q=unused")
    assert "1 network goes now: lonely" in page
    assert ">bridge</a>" not in page
    assert "1 network removed: lonely." in browser.post("/e/local/networks/prune/", headers=HTMX).content.decode()
    assert "none was removed" in browser.post("/e/local/networks/prune/", headers=HTMX).content.decode()


def test_the_engines_no_stands_on_the_form(browser: Client, daemon: Daemon) -> None:
    daemon.docker("network", "create", "taken", "--subnet", "10.78.0.0/24")
    form = {"name": "new", "driver": "bridge", "subnet": "10.78.0.0/24"}
    answer = browser.post("/e/local/networks/new/", form)
    assert answer.status_code == 422
    assert "overlaps" in answer.content.decode()
    assert 'value="10.78.0.0/24"' in answer.content.decode()
    wrong = browser.post("/e/local/networks/taken/connect/", {"container": "nobody"}, headers=HTMX)
    assert wrong.status_code == 422
    assert "No such container" in wrong.content.decode()


def test_names_from_outside_are_text(browser: Client, daemon: Daemon) -> None:
    daemon.docker("network", "create", "--label", "x=<script>1</script>", "evil")
    page = _text(browser, "/e/local/networks/evil/")
    assert "<script>1" not in page
    assert "&lt;script&gt;1" in page


def test_a_viewer_looks_and_changes_nothing(
    viewer: User, either: Environment, signed_in: Callable[[User | None], Client], daemon: Daemon
) -> None:
    daemon.docker("network", "create", "seen")
    client = signed_in(viewer)
    page = _text(client, "/e/local/networks/seen/")
    assert "Remove" not in page.partition("If it is removed")[0]
    for door in ("new/", "remove/", "prune/", "seen/connect/", "seen/disconnect/"):
        assert client.post(f"/e/local/networks/{door}", {"networks": "seen"}).status_code == 403, door
    assert _inspect(daemon, "seen")


# --- the form, without an engine -------------------------------------------------------------------------------------

DRIVERS = ("bridge", "macvlan", "ipvlan", "overlay")


def _form(**data: str) -> NetworkForm:
    return NetworkForm({"name": "lan", "driver": "bridge", **data}, available=DRIVERS)


def test_macvlan_with_a_vlan_in_one_step() -> None:
    form = _form(driver="macvlan", subnet="172.16.0.0/16", gateway="172.16.0.1", parent="eth0", vlan="10")
    assert form.is_valid(), form.errors
    body = form.request().body()
    assert body["Options"] == {"parent": "eth0.10"}
    assert body["IPAM"]["Config"] == [{"Subnet": "172.16.0.0/16", "Gateway": "172.16.0.1"}]


def test_what_the_engine_lacks_is_explained_and_not_offered() -> None:
    form = NetworkForm(available=("bridge", "macvlan"))
    assert [name for name, _ in form.kinds] == ["bridge", "macvlan"]
    assert "HAVRE_CLUSTER_URL" in str(dict(form.missing)["overlay"])
    assert "overlay" not in dict(NetworkForm(available=("bridge", "overlay")).missing)


def test_what_belongs_to_another_driver_is_left_out() -> None:
    form = _form(parent="eth0", vlan="10", attachable="on", macvlan_mode="private")
    assert form.is_valid(), form.errors
    assert form.request().options == {}
    assert not form.request().attachable


def test_both_kinds_of_addresses() -> None:
    form = _form(subnet="10.1.0.0/16", ip_range="10.1.5.0/24", subnet6="fd00:20::/64", gateway6="fd00:20::1")
    assert form.is_valid(), form.errors
    request = form.request()
    assert request.ipv6
    assert [pool.subnet for pool in request.pools] == ["10.1.0.0/16", "fd00:20::/64"]
    assert request.pools[0].ip_range == "10.1.5.0/24"


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"name": "../x"}, "name"),
        ({"name": "<b>"}, "name"),
        ({"driver": "nothing"}, "driver"),
        ({"subnet": "10.0.0.0"}, "subnet"),
        ({"subnet": "ten"}, "subnet"),
        ({"subnet": "fd00::/64"}, "subnet"),
        ({"subnet6": "10.0.0.0/8"}, "subnet6"),
        ({"gateway": "10.0.0.1"}, "subnet"),
        ({"subnet": "10.0.0.0/24", "gateway": "10.0.1.1"}, "gateway"),
        ({"subnet": "10.0.0.0/24", "gateway": "fd00::1"}, "gateway"),
        ({"subnet": "10.0.0.0/24", "ip_range": "10.0.1.0/25"}, "ip_range"),
        ({"driver": "macvlan", "parent": "eth0"}, "subnet"),
        ({"driver": "macvlan", "subnet": "10.0.0.0/24", "vlan": "10"}, "parent"),
        ({"parent": "eth0; reboot"}, "parent"),
        ({"vlan": "5000"}, "vlan"),
        ({"labels": "a b=c"}, "labels"),
        ({"options": "=x"}, "options"),
    ],
)
def test_a_mistake_is_told_at_its_field(data: dict[str, str], field: str) -> None:
    form = _form(**data)
    assert not form.is_valid()
    assert field in form.errors


def test_an_operator_makes_no_network_in_the_hosts_lan(browser: Client, daemon: Daemon) -> None:
    for form in (
        {"driver": "macvlan", "subnet": "192.168.7.0/24", "parent": "eth0"},
        {"driver": "bridge", "subnet": "9.9.9.0/24"},
        {"driver": "bridge", "bridge": "virbr0"},
    ):
        answer = browser.post("/e/local/networks/new/", {"name": "sly", **form})
        assert answer.status_code == 422
        assert "Only an administrator may make a network" in answer.content.decode()
    assert "sly" not in daemon.docker("network", "ls").stdout


@pytest.fixture
def elsewhere(havre: HavreDaemon) -> Iterator[str]:
    """A subnet that the host reaches by a route."""
    havre.namespace.run("ip", "route", "add", "10.79.0.0/16", "via", havre.namespace.outside)
    yield "10.79.5.0/24"
    havre.namespace.run("ip", "route", "del", "10.79.0.0/16")
    havre.docker("network", "prune", "-f")


def test_a_subnet_that_the_host_reaches_otherwise(
    engine: Environment,
    operator: User,
    administrator: User,
    signed_in: Callable[[User | None], Client],
    havre: HavreDaemon,
    elsewhere: str,
) -> None:
    form = {"name": "astray", "driver": "bridge", "subnet": elsewhere}
    told = "The host reaches 10.79.0.0/16 by eth0 and would find it here instead"
    for person, offered in ((operator, False), (administrator, True)):
        answer = signed_in(person).post("/e/local/networks/new/", form)
        assert answer.status_code == 422
        assert told in answer.content.decode()
        assert ("Make it all the same" in answer.content.decode()) is offered
    sly = signed_in(operator).post("/e/local/networks/new/", {**form, "anyway": "on"})
    assert sly.status_code == 422
    assert "astray" not in havre.docker("network", "ls").stdout
    meant = signed_in(administrator).post("/e/local/networks/new/", {**form, "anyway": "on"})
    assert meant.status_code == 302
    assert _inspect(havre, "astray")["IPAM"]["Config"][0]["Subnet"] == elsewhere


def test_the_policy_asks_the_engine_whatever_the_form_says(
    engine: Environment, operator: User, havre: HavreDaemon, elsewhere: str
) -> None:
    request = gateway.CreateNetwork(name="astray", pools=(gateway.Subnet(subnet=elsewhere),))
    with pytest.raises(policy.TooPowerful, match="by eth0"):
        network_create(environment=engine, user=operator, request=request)
    assert "astray" not in havre.docker("network", "ls").stdout
