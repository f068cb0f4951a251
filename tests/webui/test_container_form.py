"""The form that makes a container: what it accepts, what it asks for, and what it says to mistakes."""

from __future__ import annotations

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from webui.containers import filtering
from webui.containers.forms import CreateForms
from webui.containers.selectors import ListState

NETWORKS = ("bridge", "host", "none")


def _data(**values: str) -> dict[str, str]:
    data = {"image": "debian", "network": "bridge", "restart_policy": "no"}
    for prefix in ("ports", "binds", "variables"):
        data |= {f"{prefix}-TOTAL_FORMS": "2", f"{prefix}-INITIAL_FORMS": "0"}
    data["ports-0-protocol"] = data["ports-1-protocol"] = "tcp"
    return data | values


def _errors(**values: str) -> str:
    forms = CreateForms(_data(**values), networks=NETWORKS)
    assert not forms.is_valid()
    return str(forms.container.errors) + str([part.errors for part in (forms.ports, forms.binds, forms.variables)])


def test_a_whole_form_becomes_a_request() -> None:
    forms = CreateForms(
        _data(
            name="web",
            command="sh -c 'echo a b'",
            tty="on",
            memory="64",
            cpus="1.5",
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
            },
        ),
        networks=NETWORKS,
    )
    assert forms.is_valid(), forms.container.errors
    request = forms.request()
    assert request.cmd == ("sh", "-c", "echo a b")
    assert [(port.host_port, port.container_port, port.protocol) for port in request.ports] == [
        (8080, 80, "tcp"),
        (0, 53, "udp"),
    ]
    assert str(request.binds[0]) == "/srv:/data:ro"
    assert request.env == ("A= x=y ",)
    assert (request.memory, request.nano_cpus) == (64_000_000, 1_500_000_000)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"image": ""}, "required"),
        ({"name": "-bad"}, "two letters"),
        ({"command": "echo 'open"}, "quotation mark"),
        ({"working_dir": "srv"}, "slash"),
        ({"auto_remove": "on", "restart_policy": "always"}, "choose one"),
        ({"maximum_retries": "3"}, "only with"),
        ({"restart_policy": "sometimes"}, "valid choice"),
        ({"ports-0-host_port": "80"}, "Which port"),
        ({"ports-0-host_port": "99999", "ports-0-container_port": "80"}, "65535"),
        ({"ports-0-host_ip": "300.1.1.1", "ports-0-container_port": "80"}, "valid IPv4"),
        ({"binds-0-source": "/srv"}, "both paths"),
        ({"binds-0-source": "srv/x", "binds-0-target": "/data"}, "slash"),
        ({"binds-0-source": "/a:/b", "binds-0-target": "/data"}, "colon"),
        ({"variables-0-value": "x"}, "a name"),
        ({"variables-0-name": "A=B"}, "no spaces"),
        ({"memory": "1"}, "6"),
        ({"network": "elsewhere"}, "valid choice"),
    ],
)
def test_a_mistake_is_told_where_it_is(values: dict[str, str], words: str) -> None:
    assert words in _errors(**values)


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
