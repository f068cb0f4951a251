"""The form that makes a container: what it accepts, what it asks for, and what it says to mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from webui.accounts.powers import Power, powers
from webui.containers import filtering
from webui.containers.commands import run_command
from webui.containers.forms import CreateForms, fields
from webui.containers.selectors import ListState
from webui.gateway import create_body, recreate

NETWORKS = ("bridge", "host", "none")


def _data(**values: str) -> dict[str, str]:
    data = {"image": "debian", "network": "bridge", "restart_policy": "no"}
    for prefix in ("ports", "binds", "variables", "labels"):
        data |= {f"{prefix}-TOTAL_FORMS": "2", f"{prefix}-INITIAL_FORMS": "0"}
    data["ports-0-protocol"] = data["ports-1-protocol"] = "tcp"
    return data | values


def _forms(*, trusted: bool = True, **values: str) -> CreateForms:
    forms = CreateForms(_data(**values), networks=NETWORKS, trusted=trusted)
    assert forms.is_valid(), forms.errors()
    return forms


def test_a_whole_form_becomes_a_request() -> None:
    request = _forms(
        name="web",
        command="sh -c 'echo a b'",
        entrypoint="/sbin/tini --",
        tty="on",
        memory="64",
        memory_swap="-1",
        cpus="1.5",
        stop_signal="sigint",
        stop_timeout="30",
        health="shell",
        health_test="test -e /ready",
        health_interval="1m30s",
        ulimits="nofile=1024:2048\nnproc=100",
        extra_hosts="db:10.0.0.5\r\nhost.docker.internal:host-gateway",
        tmpfs="/run\n/tmp:size=64m",
        devices="/dev/ttyUSB0\n/dev/sda:/dev/xvda:r",
        sysctls="net.core.somaxconn=1024",
        cap_drop="NET_RAW, mknod",
        log_options="max-size=10m",
        **{
            "ports-0-host_port": "8080",
            "ports-0-container_port": "80",
            "ports-1-container_port": "53",
            "ports-1-protocol": "udp",
            "binds-0-source": "/srv",
            "binds-0-target": "/data",
            "binds-0-read_only": "on",
            "variables-0-name": "A",
            "variables-0-value": " x=y ",
            "labels-0-name": "app",
            "labels-0-value": "web",
        },
    ).request()
    assert (request.cmd, request.entrypoint) == (("sh", "-c", "echo a b"), ("/sbin/tini", "--"))
    assert [(port.host_port, port.container_port, port.protocol) for port in request.ports] == [
        (8080, 80, "tcp"),
        (0, 53, "udp"),
    ]
    assert str(request.binds[0]) == "/srv:/data:ro"
    assert (request.env, request.labels) == (("A= x=y ",), {"app": "web"})
    body = create_body.body(request)
    host = body["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (64 << 20, -1, 1_500_000_000)
    assert (body["StopSignal"], body["StopTimeout"]) == ("SIGINT", 30)
    assert body["Healthcheck"]["Test"] == ["CMD-SHELL", "test -e /ready"]
    assert body["Healthcheck"]["Interval"] == 90_000_000_000
    assert host["Ulimits"] == [
        {"Name": "nofile", "Soft": 1024, "Hard": 2048},
        {"Name": "nproc", "Soft": 100, "Hard": 100},
    ]
    assert host["ExtraHosts"] == ["db:10.0.0.5", "host.docker.internal:host-gateway"]
    assert host["Tmpfs"] == {"/run": "", "/tmp": "size=64m"}
    assert host["Devices"][1] == {"PathOnHost": "/dev/sda", "PathInContainer": "/dev/xvda", "CgroupPermissions": "r"}
    assert (host["Sysctls"], host["CapDrop"]) == ({"net.core.somaxconn": "1024"}, ["NET_RAW", "MKNOD"])
    assert host["LogConfig"]["Config"] == {"max-size": "10m"}
    command = run_command(body, name="web", values=True)
    for option in ("-p 8080:80", "-p 53/udp", "-v /srv:/data:ro", "-e 'A= x=y '", "--memory 64m", "--entrypoint /sbin"):
        assert option in command
    assert command.endswith("debian -- sh -c 'echo a b'")


@pytest.mark.parametrize(
    ("field", "values", "words"),
    [
        ("image", {"image": ""}, "required"),
        ("image", {"image": "no such:image!"}, "such as debian:12"),
        ("name", {"name": "-bad"}, "two letters"),
        ("command", {"command": "echo 'open"}, "quotation mark"),
        ("entrypoint", {"entrypoint": '"'}, "quotation mark"),
        ("working_dir", {"working_dir": "srv"}, "slash"),
        ("stop_signal", {"stop_signal": "please"}, "signal"),
        ("stop_timeout", {"stop_timeout": "-1"}, "0"),
        ("auto_remove", {"auto_remove": "on", "restart_policy": "always"}, "choose one"),
        ("maximum_retries", {"maximum_retries": "3"}, "only with"),
        ("restart_policy", {"restart_policy": "sometimes"}, "valid choice"),
        ("health_test", {"health": "shell"}, "Which command"),
        ("health_test", {"health_test": "true"}, "check of your own"),
        ("health_interval", {"health_interval": "soon"}, "30s"),
        ("ports-0-container_port", {"ports-0-host_port": "80"}, "Which port"),
        ("ports-0-host_port", {"ports-0-host_port": "99999", "ports-0-container_port": "80"}, "65535"),
        ("ports-0-host_ip", {"ports-0-host_ip": "300.1.1.1", "ports-0-container_port": "80"}, "valid IPv4"),
        ("extra_hosts", {"extra_hosts": "db 10.0.0.5"}, "colon"),
        ("dns", {"dns": "9.9.9.9\nnine"}, "Line 2"),
        ("binds-0-target", {"binds-0-source": "/srv"}, "both paths"),
        ("binds-0-source", {"binds-0-source": "srv/x", "binds-0-target": "/data"}, "slash"),
        ("binds-0-source", {"binds-0-source": "/a:/b", "binds-0-target": "/data"}, "colon"),
        ("tmpfs", {"tmpfs": "run"}, "slash"),
        ("variables-0-name", {"variables-0-value": "x"}, "a name"),
        ("variables-0-name", {"variables-0-name": "A=B"}, "no spaces"),
        ("memory", {"memory": "1"}, "6m"),
        ("memory", {"memory": "much"}, "512m"),
        ("memory_swap", {"memory_swap": "1g"}, "beside"),
        ("memory_swap", {"memory": "1g", "memory_swap": "64m"}, "less than memory"),
        ("cpuset_cpus", {"cpuset_cpus": "all"}, "ranges"),
        ("ulimits", {"ulimits": "nofile=20:10"}, "above the hard"),
        ("cap_add", {"cap_add": "NET-RAW"}, "no capability"),
        ("devices", {"devices": "ttyUSB0"}, "/dev/name"),
        ("sysctls", {"sysctls": "somaxconn=1"}, "name=value"),
        ("network", {"network": "elsewhere"}, "valid choice"),
    ],
)
def test_a_mistake_is_told_where_it_is(field: str, values: dict[str, str], words: str) -> None:
    errors = CreateForms(_data(**values), networks=NETWORKS).errors()
    assert list(errors) == [field]
    assert words in errors[field][0]


def test_what_gives_power_over_the_host_is_not_in_everybodys_form() -> None:
    forms = _forms(trusted=False, privileged="on", devices="/dev/kvm", pid_mode="host")
    host = create_body.body(forms.request())["HostConfig"]
    assert (host["Privileged"], host["Devices"], host["PidMode"]) == (False, [], "")
    blank = CreateForms(networks=NETWORKS, trusted=False)
    assert blank.security["no_new_privileges"].value() is True


def test_the_engine_s_words_on_powers_stand_at_their_fields() -> None:
    values = {"binds-0-source": "/etc", "binds-0-target": "/x", "cap_add": "SYS_ADMIN"}
    forms = _forms(trusted=False, **values)
    rest = forms.refuse((*powers(create_body.body(forms.request()), volumes={}), Power("CgroupParent", "a parent")))
    assert set(forms.errors()) == {"binds-0-source", "cap_add"}
    assert rest == ["Only an administrator may give it a parent."]


# What an engine tells of a container that uses nearly everything, and of its image.
IMAGE = {"Config": {"Cmd": ["serve"], "Env": ["PATH=/bin", "A=1"], "Labels": {"of": "image"}, "WorkingDir": "/srv"}}
CONTAINER = {
    "Id": "ab" * 32,
    "Name": "/web",
    "Config": {
        "Image": "app:1",
        "Hostname": "abababababab",
        "Cmd": ["serve"],
        "Env": ["PATH=/bin", "A=2", "TEXT=two\nlines"],
        "Labels": {"of": "image", "own": "yes"},
        "WorkingDir": "/srv",
        "ExposedPorts": {"80/tcp": {}, "9/udp": {}},
        "MacAddress": "02:42:ac:11:00:02",
        "Healthcheck": {"Test": ["CMD", "check", "a b"], "Interval": 5_000_000_000, "StartInterval": 1_000_000_000},
    },
    "HostConfig": {
        "NetworkMode": "back",
        "Binds": ["/srv/x:/x:rshared", "data:/data:ro"],
        "Mounts": [
            {"Type": "volume", "Source": "plain", "Target": "/plain"},
            {"Type": "volume", "Source": "part", "Target": "/part", "VolumeOptions": {"Subpath": "a"}},
        ],
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]},
        "SecurityOpt": ["seccomp=/x.json", "no-new-privileges"],
        "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}],
        "CpuPeriod": 50_000,
        "BlkioWeight": 300,
        "Memory": 64 << 20,
        "MemorySwap": 128 << 20,
    },
    "NetworkSettings": {"Networks": {"back": {"Aliases": ["db", "abababababab"]}, "front": {"Aliases": None}}},
    "Mounts": [{"Type": "volume", "Name": "f" * 64, "Destination": "/cache"}],
}


def _posted(forms: CreateForms) -> dict[str, Any]:
    """What a browser sends of the page of *forms* that nobody has touched."""
    document: dict[str, Any] = {}
    for part in forms._parts():
        rows = [part] if hasattr(part, "fields") else [part.management_form, *part]
        for form in rows:
            for field in form:
                value = field.value()
                if field.widget_type == "checkbox":
                    document |= {field.html_name: "on"} if value else {}
                elif field.widget_type == "checkboxselectmultiple":
                    document[field.html_name] = list(value)
                elif value is not None:
                    # As browsers do with lines in a text area.
                    document[field.html_name] = str(value).replace("\n", "\r\n")
    return document


def test_an_untouched_edit_changes_nothing() -> None:
    body = recreate.creation_body(CONTAINER, IMAGE)
    before = recreate.request_of(body, name="web")
    blank = CreateForms(networks=("bridge", "back"), before=before)
    again = CreateForms(_posted(blank), networks=("bridge", "back"), before=before)
    assert again.is_valid(), again.errors()
    assert create_body.body(again.request()) == create_body.body(before)


def test_an_edit_keeps_what_no_field_shows_and_leaves_out_what_is_the_images() -> None:
    body = create_body.body(recreate.request_of(recreate.creation_body(CONTAINER, IMAGE), name="web"))
    host = body["HostConfig"]
    assert (host["CpuPeriod"], host["BlkioWeight"]) == (50_000, 300)
    assert set(host["SecurityOpt"]) == {"seccomp=/x.json", "no-new-privileges"}
    assert host["Binds"] == ["/srv/x:/x:rshared", "data:/data:ro", "plain:/plain"]
    assert [mount["Source"] for mount in host["Mounts"]] == ["part"]
    assert body["Healthcheck"]["StartInterval"] == 1_000_000_000
    assert (body["Env"], body["Labels"]) == (["A=2", "TEXT=two\nlines"], {"own": "yes"})
    assert "Cmd" not in body
    assert "MacAddress" not in body
    assert (body["Hostname"], body["WorkingDir"]) == ("", "")
    assert recreate.endpoints(CONTAINER) == {"back": {"Aliases": ["db"]}, "front": {}}
    assert recreate.volumes(CONTAINER) == {"/cache": "f" * 64}


def test_another_one_takes_no_name_and_no_host_port_away() -> None:
    second = recreate.another(recreate.request_of(recreate.creation_body(CONTAINER, IMAGE), name="web"))
    assert second.name == ""
    assert [(port.container_port, port.host_port) for port in second.ports] == [(9, None), (80, 0)]


@given(st.integers(0, 1 << 30))
def test_sizes_and_times_come_back_as_they_were(number: int) -> None:
    assert fields.SizeField().clean(fields.size_text(number)) == number
    assert fields.DurationField().clean(fields.duration_text(number * 1_000_000)) == number * 1_000_000


@given(st.text(max_size=60))
def test_no_filter_is_an_error(query: str) -> None:
    filtering.parse(query)


def test_filter_terms() -> None:
    assert filtering.parse('state:running -image:"my app" hello LABEL:App=Web odd:key') == (
        filtering.Term("state", "running"),
        filtering.Term("image", "my app", negated=True),
        filtering.Term("", "hello"),
        filtering.Term("label", "app=web"),
        filtering.Term("", "odd:key"),
    )


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_a_url_is_no_form(sort: str, page: str, size: str) -> None:
    query = QueryDict(mutable=True)
    query.update({"sort": sort, "page": page, "size": size})
    state = ListState.from_query(query)
    assert state.page >= 0
    assert state.size in (25, 50, 100, 500)
