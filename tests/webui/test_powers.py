"""Which containers reach beyond themselves, and who may have them."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from webui.accounts import policy
from webui.accounts.models import User
from webui.accounts.powers import network_powers, powers
from webui.environments.models import Environment

VOLUMES = {
    "of-the-host": {"type": "none", "o": "bind", "device": "/etc"},
    "bound": {"o": "bind", "device": "relative"},
    "in-memory": {"type": "tmpfs", "device": "tmpfs"},
}

POWERFUL = [
    {"Privileged": True},
    {"privileged": True},
    {"NetworkMode": "host"},
    {"PidMode": "host"},
    {"IpcMode": "host"},
    {"UTSMode": "host"},
    {"UsernsMode": "host"},
    {"NetworkMode": "container:web"},
    {"PidMode": "container:web"},
    {"Binds": ["/:/host"]},
    {"Binds": ["/srv/open/below:/x"]},
    {"Binds": ["/srv/open/../../etc:/x"]},
    {"Binds": ["/srv/open/:/x"]},
    {"Binds": ["/srv/open:/x:rshared"]},
    {"Binds": ["of-the-host:/x"]},
    {"Binds": ["bound:/x"]},
    {"Mounts": [{"Type": "bind", "Source": "/etc", "Target": "/x"}]},
    {"Mounts": [{"type": "bind", "source": "/etc", "target": "/x"}]},
    {"Mounts": [{"Type": "bind", "Source": "etc", "Target": "/x"}]},
    {"Mounts": [{"Type": "volume", "Source": "of-the-host", "Target": "/x"}]},
    {
        "Mounts": [
            {
                "Type": "volume",
                "Target": "/x",
                "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": {"o": "bind", "device": "/etc"}}},
            }
        ]
    },
    {"Mounts": [{"Type": "volume", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Name": "other"}}}]},
    {"Mounts": [{"Type": "cluster", "Source": "x", "Target": "/x"}]},
    {"VolumesFrom": ["web"]},
    {"VolumeDriver": "other"},
    {"Devices": [{"PathOnHost": "/dev/kvm", "PathInContainer": "/dev/kvm", "CgroupPermissions": "rwm"}]},
    {"DeviceCgroupRules": ["c 1:3 rwm"]},
    {"DeviceRequests": [{"Count": -1}]},
    {"CapAdd": ["SYS_ADMIN"]},
    {"CapAdd": ["cap_sys_admin"]},
    {"CapAdd": ["ALL"]},
    {"SecurityOpt": ["seccomp=unconfined"]},
    {"SecurityOpt": ["no-new-privileges=false"]},
    {"SecurityOpt": ["systempaths=unconfined"]},
    {"MaskedPaths": []},
    {"ReadonlyPaths": []},
    {"Sysctls": {"kernel.msgmax": "1"}},
    {"CgroupParent": "/"},
    {"Runtime": "odd"},
    {"OomScoreAdj": -500},
    {"OomKillDisable": True},
    {"LogConfig": {"Type": "syslog", "Config": {}}},
    {"Annotations": {"run.oci.keep_original_groups": "1"}},
    {"SomethingNew": "yes"},
]

HARMLESS = [
    {},
    {"NetworkMode": "default", "PidMode": "", "IpcMode": "private", "CgroupnsMode": "host", "UTSMode": ""},
    {"NetworkMode": "back"},
    {"Binds": ["data:/data:ro", "in-memory:/m", "/srv/open:/x:ro"]},
    {"Mounts": [{"Type": "volume", "Source": "data", "Target": "/x"}, {"Type": "tmpfs", "Target": "/tmp"}]},
    {"CapAdd": ["CAP_CHOWN", "net_raw"], "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"]},
    {"Sysctls": {"net.core.somaxconn": "1024"}},
    {"Memory": 1 << 20, "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 1}], "ShmSize": 1, "PidsLimit": 5},
    {"PortBindings": {"80/tcp": [{"HostPort": "80"}]}, "RestartPolicy": {"Name": "always"}, "Init": True},
    {"MaskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"]},
]


@pytest.fixture(autouse=True)
def _roots(settings: LazySettings) -> None:
    settings.BIND_ROOTS = ["/srv/open"]


@pytest.mark.parametrize("host", POWERFUL, ids=str)
def test_power_over_the_host_is_an_administrators_to_give(
    host: dict[str, object],
    administrator: User,
    operator: User,
    viewer: User,
    stranger: User,
    environment: Environment,
) -> None:
    for body in ({"HostConfig": host}, {"hostconfig": host}):
        policy.require_harmless(administrator, body, environment=environment, volumes=VOLUMES)
        for user in (operator, viewer, stranger, None):
            with pytest.raises(policy.TooPowerful) as refused:
                policy.require_harmless(user, body, environment=environment, volumes=VOLUMES)
            assert refused.value.powers[0].words in str(refused.value)


@pytest.mark.parametrize("host", HARMLESS, ids=str)
def test_what_stays_in_the_container_is_for_everybody(
    host: dict[str, object], operator: User, environment: Environment
) -> None:
    policy.require_harmless(operator, {"HostConfig": host}, environment=environment, volumes=VOLUMES)


def test_a_second_host_configuration_hides_nothing() -> None:
    body = {"HostConfig": {"Privileged": True}, "hostconfig": {}}
    assert powers(body, volumes={})


def test_without_roots_no_path_of_the_host_is_open(
    settings: LazySettings, operator: User, environment: Environment
) -> None:
    settings.BIND_ROOTS = []
    with pytest.raises(policy.TooPowerful):
        policy.require_harmless(
            operator, {"HostConfig": {"Binds": ["/srv/open:/x"]}}, environment=environment, volumes={}
        )


@pytest.mark.parametrize(
    "body",
    [
        {"HostConfig": {"NetworkMode": "app"}, "NetworkingConfig": {"EndpointsConfig": {"app": {}, "host": {}}}},
        {"HostConfig": {"NetworkMode": "4f0c"}, "NetworkSettings": {"Networks": {"host": {}}}},
    ],
    ids=["a second network", "by its id"],
)
def test_the_hosts_network_is_seen_wherever_it_stands(body: dict[str, object]) -> None:
    assert powers(body, volumes={})


@pytest.mark.parametrize(
    ("driver", "options", "subnets"),
    [
        ("macvlan", {"parent": "eth0"}, ["10.0.0.0/24"]),
        ("ipvlan", {"parent": "eth0.10"}, []),
        ("host", {}, []),
        ("of-a-plugin", {}, []),
        ("bridge", {"com.docker.network.bridge.name": "virbr0"}, []),
        ("bridge", {"com.docker.network.bridge.anything": "new"}, []),
        ("bridge", {"parent": "eth0", "com.docker.network.bridge.name": "x"}, []),
        ("overlay", {"com.docker.network.driver.overlay.vxlanid_list": "4096"}, []),
        ("bridge", {}, ["9.9.9.0/24"]),
        ("bridge", {}, ["10.1.0.0/16", "0.0.0.0/0"]),
        ("bridge", {}, ["169.254.169.254/32"]),
        ("bridge", {}, ["127.0.0.0/8"]),
        ("bridge", {}, ["2000::/3"]),
        ("bridge", {}, ["no subnet"]),
    ],
    ids=str,
)
def test_networks_that_reach_into_the_hosts_surroundings(
    driver: str,
    options: dict[str, str],
    subnets: list[str],
    administrator: User,
    operator: User,
    environment: Environment,
) -> None:
    policy.require_harmless_network(administrator, driver, options, subnets, routed={}, environment=environment)
    with pytest.raises(policy.TooPowerful, match="may make a network that has"):
        policy.require_harmless_network(operator, driver, options, subnets, routed={}, environment=environment)


@pytest.mark.parametrize(
    ("driver", "options", "subnets"),
    [
        ("bridge", {}, []),
        ("bridge", {"com.docker.network.bridge.enable_icc": "false"}, ["10.20.0.0/16", "fd00:20::/64"]),
        ("macvlan", {"macvlan_mode": "private"}, ["192.168.7.0/24"]),
        ("overlay", {"com.docker.network.driver.mtu": "1400"}, []),
    ],
    ids=str,
)
def test_networks_of_ones_own_are_for_operators(driver: str, options: dict[str, str], subnets: list[str]) -> None:
    assert network_powers(driver, options, subnets, routed={}) == []


ROUTED = {"192.168.1.0/24": "eth0", "10.9.0.0/16": "another way", "fd00:1::/64": "eth1"}


@pytest.mark.parametrize(
    ("driver", "subnets", "seen"),
    [
        ("bridge", ["192.168.0.0/16"], "by eth0 (192.168.1.0/24)"),
        ("bridge", ["192.168.1.128/25"], "by eth0 (192.168.1.0/24)"),
        ("overlay", ["10.9.9.0/24"], "10.9.0.0/16"),
        ("", ["fd00:1::/80"], "fd00:1::/64"),
        ("bridge", ["192.168.2.0/24", "10.10.0.0/16", "fd00:2::/64"], ""),
        ("macvlan", ["192.168.1.0/24"], ""),
    ],
)
def test_what_the_host_reaches_otherwise_is_no_operators(driver: str, subnets: list[str], seen: str) -> None:
    found = network_powers(driver, {}, subnets, routed=ROUTED)
    assert [seen in power.words for power in found] == ([True] if seen else [])
