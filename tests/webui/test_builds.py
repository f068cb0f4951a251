"""Builds on the web side: contexts, what the engine's events become, logs, the form."""

from __future__ import annotations

import io
import json
import tarfile
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from tests.fixtures.tars import tar_of
from webui.accounts.models import User
from webui.builds import contexts, logs, selectors
from webui.builds.contexts import UnusableContext, context
from webui.builds.forms import BuildForm
from webui.builds.picture import BuildPicture
from webui.environments.models import Environment
from webui.gateway import BuildEvent, BuildEventKind, BuildStep
from webui.jobs.models import Job, JobKind, JobState
from webui.jobs.runners import JobRun


def _files(archive: Path | None, *, dockerfile: str | None) -> dict[str, bytes]:
    """What a context holds, by name; directories and links with nothing."""
    with context(archive, dockerfile=dockerfile, check=lambda: None) as sent, tarfile.open(fileobj=sent) as tar:
        return {
            member.name: file.read() if not member.issym() and (file := tar.extractfile(member)) else b""
            for member in tar
        }


def _zip(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return path


def _tar(path: Path, mode: str, **files: str) -> Path:
    path.write_bytes(tar_of(files, mode=mode))
    return path


def test_a_context_of_nothing_has_the_dockerfile() -> None:
    assert _files(None, dockerfile="FROM a\r\nRUN b\r\n") == {"Dockerfile": b"FROM a\nRUN b\n"}


def test_a_zipped_folder_is_what_lies_in_it(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", app__Dockerfile="FROM old", app__src__main="x")
    assert _files(archive, dockerfile="FROM new") == {"src/main": b"x", "Dockerfile": b"FROM new"}
    assert _files(archive, dockerfile=None) == {"Dockerfile": b"FROM old", "src/main": b"x"}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_the_editors_dockerfile_takes_the_archives_place(tmp_path: Path, mode: str) -> None:
    archive = _tar(tmp_path / "a.tar", mode, Dockerfile="FROM old", main="x")
    assert _files(archive, dockerfile="FROM new") == {"main": b"x", "Dockerfile": b"FROM new"}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_folder_in_a_tar_is_what_lies_in_it(tmp_path: Path, mode: str) -> None:
    """As forges pack repositories, with names too long for a header and hard links."""
    long = f"src/{'d' * 120}/ünï"
    with tarfile.open(tmp_path / "a.tar", mode, format=tarfile.PAX_FORMAT) as archive:
        folder = tarfile.TarInfo("./app-1.0")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, text in (("Dockerfile", "FROM old"), (long, "x")):
            member = tarfile.TarInfo(f"./app-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("app-1.0/link")
        link.type, link.linkname = tarfile.LNKTYPE, f"./app-1.0/{long}"
        archive.addfile(link)
    assert _files(tmp_path / "a.tar", dockerfile=None) == {"Dockerfile": b"FROM old", long: b"x", "link": b"x"}
    assert _files(tmp_path / "a.tar", dockerfile="FROM new") == {"Dockerfile": b"FROM new", long: b"x", "link": b"x"}


def test_a_tar_with_a_dockerfile_of_its_own_goes_as_it_is(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "a.tar", "w:gz", Dockerfile="FROM old")
    with context(archive, dockerfile=None, check=lambda: None) as sent:
        assert sent.read() == archive.read_bytes()


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04" + bytes(100), bytes(511)])
def test_what_is_no_archive_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(UnusableContext, match="cannot be read"), context(path, dockerfile="F", check=lambda: None):
        pass


def test_an_archive_of_more_than_there_may_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "MOST_ENTRIES", 2)
    archive = _tar(tmp_path / "a.tar", "w", a="1", b="2", c="3")
    with pytest.raises(UnusableContext, match="2 files"), context(archive, dockerfile="F", check=lambda: None):
        pass
    monkeypatch.setattr(contexts, "MOST_ENTRIES", 100)
    monkeypatch.setattr(contexts, "MOST_BYTES", 10)
    bomb = _zip(tmp_path / "b.zip", a="0" * 1000)
    with pytest.raises(UnusableContext, match="more than"), context(bomb, dockerfile="F", check=lambda: None):
        pass


def _event(kind: str, step: int = 0, **fields: object) -> BuildEvent:
    fields.setdefault("time", f"2026-11-26T10:00:{step:02}.123456789Z")
    return BuildEvent(kind=BuildEventKind(kind), step=step, **fields)  # type: ignore[arg-type]


def _step(number: int, *needs: int, stage: int = 0) -> BuildStep:
    word = {"instruction": "RUN", "text": "RUN x"}
    return BuildStep(number=number, stage=stage, stage_name="s", line=number, end_line=number, needs=needs, **word)


def test_a_build_as_a_picture() -> None:
    picture = BuildPicture()
    for event in (
        _event("plan", steps=(_step(1), _step(2, 1), _step(3, 2))),
        _event("warning", rule="JSONArgsRecommended", line=3, text="[Warning] JSONArgsRecommended: use JSON (line 3)"),
        _event("start", 1),
        _event("hit", 1),
        _event("done", 1, image="sha256:1"),
        _event("start", 2),
        _event("miss", 2, text="a file changed", changed=("main.py",)),
        _event("log", 2, text="…"),
        _event("done", 2, image="sha256:2", size=10),
    ):
        picture.take(event)
    found = picture.picture()
    assert [step["state"] for step in found["steps"]] == ["cached", "done", "waiting"]
    assert (found["ended"], found["cached"], found["count"]) == (2, 1, 3)
    assert found["steps"][1]["changed"] == ["main.py"]
    assert found["steps"][1]["ended"] >= found["steps"][1]["started"] > 0
    assert found["warnings"][0]["text"] == "use JSON"
    picture.take(_event("start", 3))
    picture.take(_event("fail", 3, text="no"))
    assert picture.picture()["steps"][2]["state"] == "failed"


def test_a_build_of_an_endpoint_without_plans() -> None:
    picture = BuildPicture()
    for number, text in ((1, "FROM a"), (2, "RUN b"), (3, "from c")):
        picture.take(_event("start", number, text=text))
        picture.take(_event("done", number, image="x"))
    assert [step["stage"] for step in picture.picture()["steps"]] == [0, 0, 1]


def test_the_last_word_before_silence_is_told(environment: Environment, operator: User) -> None:
    """Reports that come too soon after another wait for the next beat of the heart, not for the next report."""
    job = Job.objects.create(
        kind=JobKind.BUILD, environment=environment, created_by=operator, parameters={}, state=JobState.RUNNING
    )
    run = JobRun(job=job)
    for count in (1, 2):
        run.progress = {"count": count}
        run.report()
    job.refresh_from_db()
    assert job.progress == {"count": 1}
    run.beat()
    job.refresh_from_db()
    assert job.progress == {"count": 2}
    Job.objects.update(state=JobState.CANCELLED)
    run.beat()
    assert run.cancelled.is_set()


def test_output_is_read_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    job = uuid.uuid4()
    assert logs.read(job, offset=0).rows == []
    with logs.BuildLog(job) as log:
        log.write(1, "one\n")
        log.flush()
        first = logs.read(job, offset=0)
        log.write(2, "two", error=True)
        log.flush()
        assert logs.read(job, offset=first.offset).rows == [{"s": 2, "e": 1, "t": "two"}]
    assert first.rows == [{"s": 1, "e": 0, "t": "one\n"}]
    monkeypatch.setattr(logs, "PIECE", 60)
    parts, offset, more = [], 0, True
    while more:
        read = logs.read(job, offset=offset)
        parts += read.rows
        offset, more = read.offset, read.more
    assert [row["t"] for row in parts] == ["one\n", "two"]
    assert logs.sweep({str(job)}) == 0
    assert logs.sweep(set()) == 1


def test_output_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST", 1000)
    job = uuid.uuid4()
    with logs.BuildLog(job) as log:
        for _ in range(100):
            log.write(1, "x" * 50)
    rows = logs.read(job, offset=0).rows
    assert "the rest is not kept" in rows[-1]["t"]
    assert logs.path_of(job).stat().st_size < 2000
    logs.sweep(set())


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"context": "none", "dockerfile": " "}, "dockerfile"),
        ({"context": "none", "dockerfile": "FROM a", "tags": "team/app:1 $(reboot)"}, "tags"),
        ({"context": "remote", "remote": "file:///etc"}, "remote"),
        ({"context": "remote", "remote": "--upload-pack=x"}, "remote"),
        ({"context": "elsewhere", "dockerfile": "FROM a"}, "context"),
        ({"context": "none", "dockerfile": "FROM a", "arguments": "no equals sign"}, "arguments"),
        ({"context": "none", "dockerfile": "FROM a", "network": "host"}, "network"),
    ],
)
def test_the_form_says_what_is_wrong(fields: dict[str, str], wrong: str) -> None:
    form = BuildForm(fields)
    assert not form.is_valid()
    assert wrong in form.errors


def test_a_build_begins_as_a_job(
    signed_in: Callable[[User | None], Client], operator: User, environment: Environment
) -> None:
    body = {"context": "none", "dockerfile": "FROM a\n", "tags": "team/app:1", "arguments": "V=1", "no_cache": "on"}
    answer = signed_in(operator).post("/e/local/builds/new/", body)
    job = Job.objects.get(kind=JobKind.BUILD)
    assert answer["Location"] == f"/e/local/builds/{job.pk}/"
    assert job.subject == "team/app:1"
    assert selectors.command_of(job) == "docker build -t team/app:1 --build-arg V --no-cache - < Dockerfile"
    again = signed_in(operator).get(f"/e/local/builds/new/?like={job.pk}").content.decode()
    assert "team/app:1" in again
    assert "V=1" in again
    state = json.loads(signed_in(operator).get(f"/e/local/builds/{job.pk}/state/").content)
    assert state["state"] == "queued"
    assert signed_in(operator).get(f"/e/local/jobs/{job.pk}/")["Location"] == f"/e/local/builds/{job.pk}/"


def test_an_archive_must_be_there(
    signed_in: Callable[[User | None], Client], operator: User, environment: Environment
) -> None:
    body = {"context": "upload", "dockerfile": "FROM a\n", "upload": str(uuid.uuid4())}
    answer = signed_in(operator).post("/e/local/builds/new/", body)
    assert answer.status_code == 422
    assert "Choose an archive" in answer.content.decode()
    assert not Job.objects.filter(kind=JobKind.BUILD).exists()


def test_secrets_of_a_build_are_shown_to_nobody_who_may_not_see_them(
    signed_in: Callable[[User | None], Client], operator: User, viewer: User, environment: Environment
) -> None:
    body = {"context": "none", "dockerfile": "FROM a\nENV KEY=hunter2\n", "arguments": "TOKEN=hunter3"}
    answer = signed_in(operator).post("/e/local/builds/new/", body)
    job = Job.objects.get(kind=JobKind.BUILD)
    step = {"number": 2, "instruction": "ENV", "text": "ENV KEY=hunter2", "state": "done"}
    Job.objects.update(progress={"steps": [step]})
    for person, sees in ((operator, True), (viewer, False)):
        page = signed_in(person).get(answer["Location"]).content
        state = signed_in(person).get(f"/e/local/builds/{job.pk}/state/").content
        assert (b"hunter2" in page, b"hunter2" in state) == (sees, sees)
        assert b"--build-arg TOKEN" in page
        assert b"hunter3" not in page + state
