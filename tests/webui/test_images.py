"""The image pages, with Havre's engine behind them: what is inside, what is used, and archives in and out."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings, settings
from django.test import AsyncClient, Client

from tests.fixtures.daemons import HavreDaemon, PeerDaemon
from tests.fixtures.tars import tar_of
from webui.accounts.models import User
from webui.environments.models import Environment
from webui.gateway import HistoryEntry, ImageDetail, PullEvent
from webui.images import uploads
from webui.images.layers import chain, instruction, steps
from webui.images.models import Upload
from webui.images.progress import LayerProgress
from webui.jobs.models import Job, JobState
from webui.jobs.tasks import run_job

HTMX = {"HX-Request": "true"}


@pytest.fixture
def browser(operator: User, engine: Environment, signed_in: Callable[[User | None], Client]) -> Client:
    return signed_in(operator)


@pytest.fixture(autouse=True)
def _images(request: pytest.FixtureRequest) -> Iterator[None]:
    """Only busybox is there."""
    if "havre" not in request.fixturenames:
        yield
        return
    havre: HavreDaemon = request.getfixturevalue("havre")
    havre.docker("pull", "-q", "busybox")
    yield
    havre.remove_everything()
    # Those on others' layers go first.
    while names := havre.docker("images", "-aq").stdout.split():
        havre.docker("rmi", "-f", *set(names), check=False)


@pytest.fixture
def derived(havre: HavreDaemon) -> str:
    """An image on busybox's layer with one of its own of 3 MB, and a configuration of its own; its name."""
    havre.docker("run", "--name", "made", "busybox", "dd", "if=/dev/zero", "of=/big", "bs=1000", "count=3000")
    havre.docker("commit", "-c", "ENV MODE=fast", "-c", "EXPOSE 80/tcp", "-c", "LABEL team=web", "made", "team/app:2")
    havre.docker("rm", "made")
    return "team/app:2"


def _text(browser: Client, address: str, **headers: str) -> str:
    return browser.get(address, headers=headers).content.decode()


def _run_only_job() -> Job:
    job = Job.objects.get()
    run_job(str(job.pk))
    job.refresh_from_db()
    return job


# --- what is inside --------------------------------------------------------------------------------------------------


def test_the_page_of_an_image(browser: Client, derived: str, havre: HavreDaemon) -> None:
    havre.docker("create", "--name", "user-of-it", derived)
    identifier = havre.docker("images", "-q", derived).stdout.strip()
    page = _text(browser, f"/e/local/images/{identifier}/")
    for words in ("team/app:2", ">user-of-it</a>", "2 layers", "3 MB", "MODE", "80/tcp", "team", "(3 MB its own)"):
        assert words in page, words
    fragment = _text(browser, f"/e/local/images/{identifier}/", **HTMX)
    assert "<html" not in fragment
    assert "This image is gone" in _text(browser, f"/e/local/images/{'0' * 12}/", **HTMX)


def test_a_viewer_sees_layers_and_no_values(
    viewer: User, engine: Environment, derived: str, signed_in: Callable[[User | None], Client], havre: HavreDaemon
) -> None:
    client = signed_in(viewer)
    identifier = havre.docker("images", "-q", derived).stdout.strip()
    page = _text(client, f"/e/local/images/{identifier}/")
    assert "2 layers" in page
    assert "MODE" not in page
    assert page.count("count=3000") == 1, "the command, and not the instructions"
    assert "Remove" not in page
    for door in ("tag/", "untag/", "push/", "save/"):
        address = f"/e/local/images/{identifier}/{door}"
        assert client.post(address).status_code == 403 or client.get(address).status_code == 403, door


def test_names_come_and_go(browser: Client, havre: HavreDaemon) -> None:
    address = "/e/local/images/busybox:latest/"
    assert "leads here now" in browser.post(f"{address}tag/", {"reference": " mine:1 "}, headers=HTMX).content.decode()
    assert "mine:1" in _text(browser, "/e/local/images/?q=mine")
    bad = browser.post(f"{address}tag/", {"reference": "no good"}, headers=HTMX)
    assert bad.status_code == 422
    assert browser.post(f"{address}untag/", {"reference": "busybox:latest"}, headers=HTMX).status_code == 200
    last = browser.post("/e/local/images/mine:1/untag/", {"reference": "mine:1"}, headers=HTMX)
    assert "It is the last name" in last.content.decode()
    assert havre.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout == "mine:1\n"


def test_a_conflict_says_what_to_do(browser: Client, havre: HavreDaemon) -> None:
    havre.docker("run", "-d", "--name", "busy", "busybox", "sleep", "600")
    remove = {"images": ["busybox:latest"]}
    answer = browser.post("/e/local/images/remove/", remove, headers=HTMX).content.decode()
    assert "busy runs from it: remove that container first" in answer
    havre.docker("kill", "busy")
    answer = browser.post("/e/local/images/remove/", remove, headers=HTMX).content.decode()
    assert "or remove the image by force" in answer
    gone = browser.post("/e/local/images/remove/", {**remove, "force": "1", "leave": "1"}, headers=HTMX)
    assert gone["HX-Redirect"] == "/e/local/images/"


@pytest.mark.django_db(transaction=True)
def test_unused_ones_are_told_before_and_after(browser: Client, derived: str, havre: HavreDaemon) -> None:
    havre.docker("create", "--name", "keeper", "busybox")
    havre.docker("tag", "busybox", "team/app:2")  # the derived one has no name any more
    page = _text(browser, "/e/local/images/prune/")
    assert "1 without a name: frees 3 MB" in page
    assert "1 that no container uses: frees 3 MB" in page, "busybox is in use"
    assert browser.post("/e/local/images/prune/", {"what": "dangling"}).status_code == 302
    job = _run_only_job()
    assert job.state == JobState.SUCCEEDED, job.message
    assert job.message == "1 image removed, 3 MB freed."
    assert "Every image is in use" in _text(browser, "/e/local/images/prune/")


@pytest.mark.django_db(transaction=True)
def test_what_is_told_before_is_what_is_freed(browser: Client, havre: HavreDaemon, derived: str) -> None:
    """The compressed copy of a pulled layer goes with the layer."""
    page = _text(browser, "/e/local/images/prune/")
    found = re.search(r"All 2 that no container uses: frees ([\d.]+ MB)", page)
    assert found, page
    detail = _text(browser, "/e/local/images/busybox:latest/")
    assert "(0 B its own)" in detail, "the other image has its layer too"
    browser.post("/e/local/images/prune/", {"what": "all"})
    assert _run_only_job().message == f"2 images removed, {found[1]} freed."


def test_another_engine_is_reckoned_by_layers(
    stock: Environment, operator: User, signed_in: Callable[[User | None], Client], dockerd: PeerDaemon
) -> None:
    dockerd.docker("pull", "-q", "busybox")
    assert "1 that no container uses: frees 1.98 MB" in _text(signed_in(operator), "/e/local/images/prune/")
    dockerd.docker("rmi", "busybox")


def test_two_images_compared(browser: Client, derived: str) -> None:
    page = _text(browser, f"/e/local/images/compare/?a=busybox:latest&b={derived}")
    assert "+3 MB" in page
    assert "Variable MODE" in page
    assert "Label team" in page
    assert "Port 80/tcp" in page
    assert "same image" in _text(browser, "/e/local/images/compare/?a=busybox&b=busybox:latest")
    assert "No such image" in _text(browser, "/e/local/images/compare/?a=busybox&b=nowhere:1")


# --- archives --------------------------------------------------------------------------------------------------------


def _send(browser: Client, name: str, data: bytes, *, piece: int) -> str:
    """Upload as the page does, with a cut in the middle; the upload's id."""
    begun = browser.post("/e/local/images/uploads/", {"name": name, "size": len(data)}).json()
    at = 0
    while at < len(data):
        answer = _piece(browser, begun["address"], at, data[at : at + piece])
        assert answer.status_code == 200, answer.content
        at = answer.json()["received"]
        # The answer was lost, say: the same piece comes again.
        again = _piece(browser, begun["address"], at - 1, data[at - 1 : at])
        assert (again.status_code, again.json()) == (409, {"received": at})
    return str(begun["id"])


def _piece(browser: Client, address: str, offset: int, data: bytes) -> Any:
    return browser.post(f"{address}?offset={offset}", data, content_type="application/octet-stream")


@pytest.mark.django_db(transaction=True)
async def test_an_image_is_saved_as_an_archive(engine: Environment, operator: User, havre: HavreDaemon) -> None:
    browser = AsyncClient()
    await browser.aforce_login(operator, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = await browser.get("/e/local/images/busybox:latest/save/")
    assert answer["Content-Disposition"] == 'attachment; filename="busybox_latest.tar"'
    archive = b"".join([part async for part in answer])
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        manifest = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
    assert manifest[0]["RepoTags"] == ["busybox:latest"]
    assert (await browser.get("/e/local/images/nowhere:1/save/")).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_an_archive_is_loaded(browser: Client, havre: HavreDaemon, tmp_path: Path) -> None:
    havre.docker("tag", "busybox", "kept:1")
    havre.docker("save", "-o", str(tmp_path / "x.tar"), "kept:1")
    havre.docker("rmi", "-f", "kept:1", "busybox")
    upload = _send(browser, "x.tar", (tmp_path / "x.tar").read_bytes(), piece=700_000)
    answer = browser.post("/e/local/images/load/", {"kind": "load", "upload": upload})
    assert answer.status_code == 302
    job = _run_only_job()
    assert (job.state, job.subject) == (JobState.SUCCEEDED, "x.tar"), job.message
    assert "kept:1" in job.message
    assert "kept:1" in havre.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout
    assert not Upload.objects.exists()
    assert not list(settings.UPLOADS_DIR.iterdir())


@pytest.mark.django_db(transaction=True)
def test_a_file_system_is_imported(browser: Client, havre: HavreDaemon) -> None:
    upload = _send(browser, "fs.tar", tar_of({"etc/motd": b"hello"}), piece=8000)
    form = {"kind": "import", "upload": upload, "reference": "team/fs:1", "changes": 'CMD ["x"]\nENV A=b'}
    nameless = browser.post("/e/local/images/load/", {**form, "reference": ""})
    assert nameless.status_code == 422
    assert f'value="{upload}"' in nameless.content.decode(), "the file need not be sent again"
    browser.post("/e/local/images/load/", form)
    job = _run_only_job()
    assert job.state == JobState.SUCCEEDED, job.message
    found = json.loads(havre.docker("image", "inspect", "team/fs:1").stdout)[0]
    assert (found["Config"]["Cmd"], found["Config"]["Env"]) == (["x"], ["A=b"])


@pytest.mark.django_db(transaction=True)
def test_what_is_no_archive_fails_and_may_be_tried_again(browser: Client) -> None:
    upload = _send(browser, "no.tar", b"not a tar" * 1000, piece=9000)
    browser.post("/e/local/images/load/", {"kind": "load", "upload": upload})
    job = _run_only_job()
    assert job.state == JobState.FAILED
    assert job.message
    assert Upload.objects.get().path.exists()


def test_pieces_are_refused_that_do_not_belong(
    browser: Client, administrator: User, signed_in: Callable[[User | None], Client]
) -> None:
    begun = browser.post("/e/local/images/uploads/", {"name": "../../x", "size": "10"}).json()
    assert Upload.objects.get().path.parent == settings.UPLOADS_DIR
    assert _piece(browser, begun["address"], 0, b"x" * 11).status_code == 422
    assert _piece(browser, begun["address"], 5, b"x").status_code == 409
    assert _piece(browser, begun["address"], 0, b"x" * 5).status_code == 200
    unfinished = browser.post("/e/local/images/load/", {"kind": "load", "upload": begun["id"]})
    assert "has not come whole" in unfinished.content.decode()
    foreign = signed_in(administrator)
    assert _piece(foreign, begun["address"], 5, b"x" * 5).status_code == 404, "it is its owner's alone"
    assert foreign.post("/e/local/images/load/", {"kind": "load", "upload": begun["id"]}).status_code == 404
    for size in ("0", "-1", "x", "9" * 17):
        assert browser.post("/e/local/images/uploads/", {"name": "x", "size": size}).status_code == 422, size
    assert browser.post("/e/local/images/load/", {"kind": "load", "upload": "x"}).status_code == 422


def test_forgotten_uploads_go(browser: Client, environment: Environment, operator: User) -> None:
    old = uploads.upload_begin(environment=environment, user=operator, name="old.tar", size=5)
    Upload.objects.filter(pk=old.pk).update(created_at=old.created_at - 2 * uploads.KEPT)
    young = uploads.upload_begin(environment=environment, user=operator, name="young.tar", size=5)
    (settings.UPLOADS_DIR / "stray").write_bytes(b"")
    assert uploads.uploads_sweep() == 1
    assert [path.name for path in settings.UPLOADS_DIR.iterdir()] == [str(young.pk)]
    uploads.upload_forget(upload=young)


def test_one_person_does_not_fill_the_disk(
    browser: Client, environment: Environment, operator: User, settings: LazySettings
) -> None:
    settings.UPLOAD_QUOTA = 10_000
    begin = "/e/local/images/uploads/"
    first = browser.post(begin, {"name": "first", "size": 6_000}).json()
    refused = browser.post(begin, {"name": "second", "size": 6_000})
    assert refused.status_code == 422
    assert "waiting" in refused.json()["error"]
    # What nobody has added to for an hour makes room for what comes now.
    past = time.time() - 2 * uploads.ABANDONED.total_seconds()
    os.utime(Upload.objects.get(pk=first["id"]).path, (past, past))
    assert browser.post(begin, {"name": "second", "size": 6_000}).status_code == 200
    assert not Upload.objects.filter(pk=first["id"]).exists()
    for number in range(100):
        answer = browser.post(begin, {"name": f"small {number}", "size": 1})
        if answer.status_code != 200:
            break
    assert number == uploads.MOST - 1
    for upload in Upload.objects.all():
        uploads.upload_forget(upload=upload)


def test_what_others_were_promised_is_not_free(
    browser: Client, environment: Environment, administrator: User, settings: LazySettings
) -> None:
    settings.UPLOAD_QUOTA = 1 << 62
    free = shutil.disk_usage(settings.UPLOADS_DIR.parent).free
    theirs = uploads.upload_begin(environment=environment, user=administrator, name="large", size=free * 2 // 3)
    answer = browser.post("/e/local/images/uploads/", {"name": "as large", "size": free * 2 // 3})
    assert answer.status_code == 422
    assert "no room" in answer.json()["error"]
    uploads.upload_forget(upload=theirs)


# --- without an engine -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("created_by", "words"),
    [
        ('/bin/sh -c #(nop)  CMD ["bash"]', 'CMD ["bash"]'),
        ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ("RUN /bin/sh -c apt-get update # buildkit", "RUN apt-get update"),
        ("|1 VERSION=3 /bin/sh -c make", "RUN make"),
        ("RUN |2 A=1 B=2 /bin/sh -c make all # buildkit", "RUN make all"),
        ("COPY . /app # buildkit", "COPY . /app"),
        ('ENTRYPOINT ["/x"]', 'ENTRYPOINT ["/x"]'),
        ("", ""),
    ],
)
def test_what_builders_write_reads_as_a_dockerfile(created_by: str, words: str) -> None:
    assert instruction(created_by) == words


def _image(*layers: str) -> ImageDetail:
    empty: dict[str, Any] = dict.fromkeys(("author", "comment", "working_dir", "user", "os", "architecture"), "")
    empty |= dict.fromkeys(("tags", "digests", "entrypoint", "cmd", "env", "exposed_ports", "volumes"), ())
    return ImageDetail(id="x", created=None, size=0, labels={}, layers=layers, **empty)


def _history(*rows: tuple[str, int]) -> list[HistoryEntry]:
    return [HistoryEntry(id="", created=None, created_by=words, size=size) for words, size in reversed(rows)]


def test_layers_find_their_instructions() -> None:
    history = _history(("ADD file:1 in /", 5), ("CMD x", 0), ("WORKDIR /a", 0), ("COPY a b", 3), ("ENV A=1", 0))
    placed = [step.diff_id for step in steps(_image("one", "two", "three"), history)]
    assert placed == ["one", "", "two", "three", ""]
    placed = [step.diff_id for step in steps(_image("one", "two"), history)]
    assert placed == ["one", "", "", "two", ""], "WORKDIR made no layer this time"
    placed = [step.diff_id for step in steps(_image("one"), history)]
    assert placed == [""] * 5, "no way to tell: rather nothing than something wrong"


def test_a_layer_is_shared_with_all_below_only() -> None:
    assert chain(["a", "b"])[0] == chain(["a", "c"])[0]
    assert chain(["a", "b"])[1] != chain(["c", "b"])[1]


def test_the_picture_of_a_push() -> None:
    progress = LayerProgress()
    for status, layer, current, total in (
        ("The push refers to repository [x]", "", 0, 0),
        ("Preparing", "aa", 0, 0),
        ("Layer already exists", "bb", 0, 0),
        ("Pushing", "aa", 70, 50),
        ("Mounted from team/base", "cc", 0, 0),
    ):
        progress.take(PullEvent(status=status, layer=layer, current=current, total=total))
    picture = progress.picture()
    assert (picture["current"], picture["total"], picture["already"]) == (50, 50, 1)
    assert [layer["done"] for layer in picture["layers"]] == [False, True, True]
    progress.take(PullEvent(status="Pushed", layer="aa"))
    assert all(layer["done"] for layer in progress.picture()["layers"])
