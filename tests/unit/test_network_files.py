"""The contents of /etc/hosts and /etc/resolv.conf of a container."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest

from engine.errors import InvalidParameter
from engine.networks.files import hosts, resolv_conf
from engine.networks.model import ResolverConfig

ADDRESS = IPv4Address("172.17.0.2")
GATEWAY = IPv4Address("172.17.0.1")


def test_hosts_names_the_loopback_and_the_container() -> None:
    lines = hosts(hostname="4f66ad9a0b2e", addresses=[ADDRESS], gateway=GATEWAY).splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[1].startswith("::1\t")
    assert lines[-1] == "172.17.0.2\t4f66ad9a0b2e"


def test_hosts_with_a_domain_names_the_container_in_full_and_for_short() -> None:
    text = hosts(hostname="web", domainname="example.test", addresses=[ADDRESS], gateway=GATEWAY)
    assert text.endswith("172.17.0.2\tweb.example.test web\n")


def test_hosts_without_an_address_has_no_line_for_the_container() -> None:
    assert "web" not in hosts(hostname="web", gateway=None)


def test_extra_hosts_are_added_and_the_host_gateway_is_the_bridge() -> None:
    extra = ["db:10.0.0.7", "six:2001:db8::7", "six-too:[2001:db8::8]", "host.docker.internal:host-gateway"]
    lines = hosts(hostname="web", addresses=[ADDRESS], gateway=GATEWAY, extra=extra).splitlines()
    assert "10.0.0.7\tdb" in lines
    assert "2001:db8::7\tsix" in lines
    assert "2001:db8::8\tsix-too" in lines
    assert "172.17.0.1\thost.docker.internal" in lines


@pytest.mark.parametrize("entry", ["db", "db:", "db:nowhere", "db:1.2.3", "db:1.2.3.4\n6.6.6.6 debian.org"])
def test_an_extra_host_without_an_address_is_refused(entry: str) -> None:
    with pytest.raises(InvalidParameter, match="add-host"):
        hosts(hostname="web", addresses=[ADDRESS], gateway=GATEWAY, extra=[entry])


@pytest.mark.parametrize("name", ["", "a b", "a\n6.6.6.6 debian.org", "a\tb"])
def test_the_name_of_an_extra_host_is_one_word(name: str) -> None:
    with pytest.raises(InvalidParameter, match="add-host"):
        hosts(hostname="web", addresses=[ADDRESS], gateway=GATEWAY, extra=[f"{name}:10.0.0.7"])


def test_on_the_host_s_network_the_host_s_own_file_is_kept(tmp_path: Path) -> None:
    own = tmp_path / "hosts"
    own.write_text("127.0.0.1 localhost\n192.0.2.9 printer")
    text = hosts(hostname="web", gateway=None, extra=["db:10.0.0.7"], share_host=True, host_file=own)
    assert text == "127.0.0.1 localhost\n192.0.2.9 printer\n10.0.0.7\tdb\n"


HOST = """\
# comment
nameserver 127.0.0.53
nameserver 192.0.2.53   # the router
nameserver ::1
nameserver fe80::1%eth0
search one.test
search lab.test example.test
options ndots:2 edns0
"""


def resolver(tmp_path: Path, text: str, config: ResolverConfig | None = None, *, share_host: bool = False) -> list[str]:
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    return resolv_conf(config or ResolverConfig(), share_host=share_host, host_file=path).splitlines()


def test_servers_on_the_host_s_loopback_or_by_ipv6_are_dropped(tmp_path: Path) -> None:
    assert resolver(tmp_path, HOST) == [
        "nameserver 192.0.2.53",
        "search lab.test example.test",
        "options ndots:2 edns0",
    ]


def test_docker_s_servers_stand_in_only_when_none_remain(tmp_path: Path) -> None:
    assert resolver(tmp_path, "nameserver 127.0.0.1\nsearch lab.test\n") == [
        "nameserver 8.8.8.8",
        "nameserver 8.8.4.4",
        "search lab.test",
    ]


def test_a_host_without_the_file_gives_docker_s_servers(tmp_path: Path) -> None:
    text = resolv_conf(ResolverConfig(), host_file=tmp_path / "none")
    assert text == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


def test_the_request_overrides_each_part_by_itself(tmp_path: Path) -> None:
    config = ResolverConfig(servers=(ip_address("127.0.0.1"), ip_address("2001:db8::53")), options=("timeout:1",))
    assert resolver(tmp_path, HOST, config) == [
        "nameserver 127.0.0.1",
        "nameserver 2001:db8::53",
        "search lab.test example.test",
        "options timeout:1",
    ]


def test_a_search_of_a_dot_asks_for_none(tmp_path: Path) -> None:
    assert not [line for line in resolver(tmp_path, HOST, ResolverConfig(search=(".",))) if line.startswith("search")]


def test_on_the_host_s_network_the_file_is_the_host_s_own(tmp_path: Path) -> None:
    assert resolver(tmp_path, HOST, share_host=True) == HOST.splitlines()
    config = ResolverConfig(search=("other.test",))
    assert resolver(tmp_path, HOST, config, share_host=True)[0] == "nameserver 127.0.0.53"
