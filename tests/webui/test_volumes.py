"""The volume pages, with a real engine behind them: Havre's, and a stock dockerd where the two differ."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from django.core.cache import cache
from django.test import Client

from tests.fixtures.daemons import HavreDaemon, PeerDaemon
from webui.accounts import policy
from webui.accounts.models import User
from webui.environments.models import Environment
from webui.jobs.models import Job, JobState
from webui.jobs.tasks import run_job
from webui.volumes import measuring, services
from webui.volumes.forms import VolumeForm
from webui.volumes.selectors import without_secrets


@pytest.fixture
def browser(operator: User, engine: Environment, signed_in: Callable[[User | None], Client]) -> Client:
    return signed_in(operator)


@pytest.fixture(autouse=True)
def _no_volumes(havre: HavreDaemon) -> Iterator[None]:
    cache.clear()
    yield
    havre.remove_everything()
    if names := havre.docker("volume", "ls", "-q").stdout.split():
        havre.docker("volume", "rm", *names)


def test_a_volume_is_made_and_removed(browser: Client, havre: HavreDaemon) -> None:
    assert "No volumes yet" in browser.get("/e/local/volumes/").content.decode()
    made = browser.post("/e/local/volumes/new/", {"name": "my-data", "labels": "team=web"})
    assert made["Location"] == "/e/local/volumes/v/my-data/"
    assert havre.docker("volume", "inspect", "-f", "{{.Labels.team}}", "my-data").stdout == "web\n"
    assert havre.docker("volume", "ls", "-q").stdout == "my-data\n"
    page = browser.get("/e/local/volumes/").content.decode()
    assert "my-data" in page
    assert "nothing" in page
    browser.post("/e/local/volumes/remove/", {"volumes": ["my-data"]})
    assert havre.docker("volume", "ls", "-q").stdout == ""


@pytest.mark.parametrize("name", ["a", "../x", "a b", "<b>", "x" * 300])
def test_a_bad_name_is_refused(browser: Client, havre: HavreDaemon, name: str) -> None:
    answer = browser.post("/e/local/volumes/new/", {"name": name}, headers={"HX-Request": "true"})
    assert answer.status_code == 422
    assert havre.docker("volume", "ls", "-q").stdout == ""


def test_who_uses_it_is_told_and_keeps_it(browser: Client, havre: HavreDaemon) -> None:
    havre.docker("pull", "-q", "busybox")
    havre.docker("create", "--name", "keeper", "-v", "held:/d", "-v", "/own", "busybox")
    page = browser.get("/e/local/volumes/").content.decode()
    assert page.count(">keeper</a>") == 2
    assert "no name" in page
    assert "held" not in browser.get("/e/local/volumes/?q=unused").content.decode()
    answer = browser.post("/e/local/volumes/remove/", {"volumes": ["held"]}, headers={"HX-Request": "true"})
    assert "volume is in use" in answer.content.decode()
    assert "held" in havre.docker("volume", "ls", "-q").stdout


def test_a_viewer_may_look(
    viewer: User, engine: Environment, signed_in: Callable[[User | None], Client], havre: HavreDaemon
) -> None:
    havre.docker("volume", "create", "seen")
    client = signed_in(viewer)
    page = client.get("/e/local/volumes/").content.decode()
    assert "seen" in page
    assert "volumes/new/" not in page
    assert "Remove" not in client.get("/e/local/volumes/v/seen/").content.decode().partition("If it is removed")[0]
    for door in ("new/", "remove/", "prune/"):
        assert client.post(f"/e/local/volumes/{door}", {"name": "no", "volumes": ["seen"]}).status_code == 403
    assert havre.docker("volume", "ls", "-q").stdout == "seen\n"


def _text(browser: Client, address: str, **headers: str) -> str:
    return browser.get(address, headers=headers).content.decode()


@pytest.fixture
def _data(havre: HavreDaemon) -> None:
    """Volumes with 2 MB in `full`, 1 MB in one without a name, both of no container; `held` is somebody's."""
    havre.docker("pull", "-q", "busybox")
    fill = "dd if=/dev/zero of=/d/x bs=1000 count={} 2>/dev/null"
    havre.docker("run", "--rm", "-v", "full:/d", "busybox", "sh", "-c", fill.format(2000))
    havre.docker("run", "--name", "passing", "-v", "/d", "busybox", "sh", "-c", fill.format(1000))
    havre.docker("rm", "passing")
    havre.docker("create", "--name", "keeper", "-v", "held:/data:ro", "busybox")


@pytest.mark.usefixtures("_data")
def test_sizes_are_measured_once_and_kept(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = time.time() - 10  # the volumes are of the future then, as where the engine's clock is ahead
    monkeypatch.setattr(measuring.time, "time", lambda: moment)
    assert "measuring…" in _text(browser, "/e/local/volumes/")
    assert browser.get("/e/local/volumes/sizes/")["HX-Trigger"] == "volumes:measured"
    page = _text(browser, "/e/local/volumes/")
    assert "measuring" not in page
    assert "2 MB" in page
    assert "3 MB" in page, "the sum"
    assert "2 MB are lost for good" in _text(browser, "/e/local/volumes/v/full/")
    later = moment + 18
    monkeypatch.setattr(measuring.time, "time", lambda: later)
    for place in ("", "v/full/"):
        assert "measuring…" in _text(browser, f"/e/local/volumes/{place}"), "it was made after the measurement"
    browser.get("/e/local/volumes/sizes/")
    assert "measuring" not in _text(browser, "/e/local/volumes/")
    monkeypatch.setattr(measuring.time, "time", lambda: later + 2 * measuring.CERTAIN)
    assert "2 MB" in _text(browser, "/e/local/volumes/")
    assert "measuring…" in _text(browser, "/e/local/volumes/v/full/"), "who may remove it learns what is there now"


@pytest.mark.usefixtures("_data")
def test_the_page_of_a_volume(browser: Client) -> None:
    page = _text(browser, "/e/local/volumes/v/held/")
    for words in (">keeper</a>", "<code>/data</code>", "no, read only", "Remove that container first"):
        assert words in page, words
    assert "docker volume create" in page
    assert "This volume is gone" in _text(browser, "/e/local/volumes/v/nowhere/", **{"HX-Request": "true"})
    assert browser.get("/e/local/volumes/v/nowhere/").status_code == 404


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Its data is lost for good"),
        (("type=tmpfs", "device=tmpfs"), "Nothing is lost: it is memory"),
        (("type=nfs", "device=:/export", "o=addr=10.0.0.5"), "The name goes; what is in :/export stays where it is"),
        (("type=none", "device=/srv", "o=bind"), "The name goes; what is in /srv stays where it is"),
    ],
)
def test_what_is_lost_by_a_removal(browser: Client, havre: HavreDaemon, options: tuple[str, ...], words: str) -> None:
    havre.docker("volume", "create", *(f"-o={option}" for option in options), "mine")
    page = _text(browser, "/e/local/volumes/v/mine/")
    assert f'data-confirm-loss="{words}' in page
    assert page.count(words) == 2, "in the dialog, and on the page"
    havre.docker("volume", "rm", "mine")


@pytest.mark.usefixtures("_data")
@pytest.mark.django_db(transaction=True)
def test_unused_ones_go_as_they_were_chosen(browser: Client, havre: HavreDaemon) -> None:
    assert "measuring…" in _text(browser, "/e/local/volumes/prune/")
    browser.get("/e/local/volumes/sizes/")
    page = _text(browser, "/e/local/volumes/prune/", **{"HX-Request": "true"})
    assert "held" not in page
    assert page.count(" checked") == 1, "only the one without a name is chosen from the start"
    answer = browser.post("/e/local/volumes/prune/", {"volumes": ["full", "held"]})
    job = Job.objects.get()
    assert answer["Location"] == f"/e/local/jobs/{job.pk}/"
    run_job(str(job.pk))
    job.refresh_from_db()
    assert (job.state, job.message) == (JobState.SUCCEEDED, "1 volume removed, 2 MB freed. Left alone: 1.")
    assert "volume is in use" in _text(browser, answer["Location"])
    left = havre.docker("volume", "ls", "-q").stdout.split()
    assert "held" in left
    assert len(left) == 2


@pytest.mark.parametrize(
    "options",
    [
        "type=none\ndevice=/etc\no=bind",
        "type=tmpfs\ndevice=/etc\no=rbind",
        "type=ext4\ndevice=dev/sda1",
        "type=overlay\ndevice=overlay\no=lowerdir=/,upperdir=/tmp/u,workdir=/tmp/w",
        "type=proc\ndevice=proc",
        "type=nfs\ndevice=/etc",
        "type=cifs\ndevice=/etc",
        "anything=else",
    ],
)
def test_no_volume_of_an_operator_leads_to_the_host(
    environment: Environment, operator: User, administrator: User, options: str
) -> None:
    pairs = dict(line.split("=", 1) for line in options.splitlines())
    with pytest.raises(policy.TooPowerful):
        services.volume_create(environment=environment, user=operator, name="sly", options=pairs)
    policy.require_harmless_volume(administrator, pairs, environment=environment)


def test_the_page_says_so(browser: Client, havre: HavreDaemon) -> None:
    assert 'value="directory"' not in _text(browser, "/e/local/volumes/new/")
    sly = {"name": "sly", "kind": "data", "options": "type=none\ndevice=/etc\no=bind"}
    answer = browser.post("/e/local/volumes/new/", sly)
    assert answer.status_code == 422
    assert "Only an administrator may" in answer.content.decode()
    assert havre.docker("volume", "ls", "-q").stdout == ""


@pytest.mark.parametrize("options", [{}, {"type": "tmpfs", "device": "tmpfs"}, {"type": "nfs", "device": "nas:/x"}])
def test_memory_and_shares_are_for_operators(environment: Environment, operator: User, options: dict[str, str]) -> None:
    policy.require_harmless_volume(operator, options, environment=environment)


def test_a_stock_engine_and_its_names(
    stock: Environment, operator: User, signed_in: Callable[[User | None], Client], dockerd: PeerDaemon
) -> None:
    client = signed_in(operator)
    dockerd.docker("volume", "create", "named")
    dockerd.docker("volume", "create")
    page = _text(client, "/e/local/volumes/prune/")
    assert page.count(" checked") == 1, "one without a name has no label there, and is known all the same"
    memory = client.post("/e/local/volumes/new/", {"name": "fast", "kind": "memory", "megabytes": "16"})
    assert memory.status_code == 302
    assert "size=16m" in dockerd.docker("volume", "inspect", "fast").stdout
    dockerd.docker("volume", "rm", *dockerd.docker("volume", "ls", "-q").stdout.split())


# --- the form, without an engine -------------------------------------------------------------------------------------


def _form(**data: str) -> VolumeForm:
    return VolumeForm({"name": "v1", **data}, available=("local", "rex"))


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ({}, {}),
        ({"kind": "directory", "path": "/srv/x"}, {"type": "none", "device": "/srv/x", "o": "bind"}),
        (
            {"kind": "nfs", "server": "nas", "share": "/e/m", "read_only": "on"},
            {"type": "nfs", "device": ":/e/m", "o": "addr=nas,nfsvers=4,ro"},
        ),
        (
            {"kind": "cifs", "server": "nas", "share": "media", "user": "u", "password": "p w"},
            {"type": "cifs", "device": "//nas/media", "o": "addr=nas,username=u,password=p w"},
        ),
        ({"kind": "memory"}, {"type": "tmpfs", "device": "tmpfs"}),
        ({"kind": "rex", "options": "size=10"}, {"size": "10"}),
    ],
)
def test_what_each_kind_asks_of_the_driver(data: dict[str, str], options: dict[str, str]) -> None:
    form = _form(**data)
    assert form.is_valid(), form.errors
    assert form.driver_options() == options
    assert form.driver == ("rex" if data.get("kind") == "rex" else "local")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"kind": "directory", "path": "relative"}, "path"),
        ({"kind": "directory", "path": "/a/../etc"}, "path"),
        ({"kind": "nfs", "server": "a,b", "share": "/x"}, "server"),
        ({"kind": "nfs", "server": "nas", "share": "x"}, "share"),
        ({"kind": "cifs", "server": "nas", "share": "/"}, "share"),
        ({"kind": "cifs", "server": "nas", "share": "m", "password": "a,uid=0"}, "password"),
        ({"kind": "nothing"}, "kind"),
    ],
)
def test_a_mistake_is_told_at_its_field(data: dict[str, str], field: str) -> None:
    form = _form(**data)
    assert not form.is_valid()
    assert field in form.errors


def test_passwords_in_options_are_not_shown() -> None:
    shown = without_secrets("addr=nas,username=u,password=p w,ro")
    assert shown == "addr=nas,username=u,password=…,ro"
