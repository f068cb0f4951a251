"""How many jobs one person may have: each door to long work says so in words, and nothing that was typed is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.conf import LazySettings
from django.test import Client

from tests.fixtures.daemons import HavreDaemon
from webui.accounts.models import User
from webui.environments.models import Environment
from webui.images.models import Upload
from webui.jobs import services
from webui.jobs.models import Job, JobKind, JobState

WORDS = "1 job of yours is waiting or running"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def waiting(environment: Environment, operator: User, settings: LazySettings) -> Job:
    """The one job that the operator may have."""
    settings.JOBS_PER_PERSON = 1
    return Job.objects.create(kind=JobKind.PULL, environment=environment, created_by=operator, subject="debian:1")


@pytest.fixture
def container(havre: HavreDaemon) -> Iterator[str]:
    havre.docker("pull", "-q", "busybox")
    yield havre.docker("create", "busybox").stdout.strip()
    havre.remove_everything()
    havre.docker("rmi", "busybox")


def test_every_door(
    engine: Environment,
    operator: User,
    waiting: Job,
    container: str,
    settings: LazySettings,
    signed_in: Callable[[User | None], Client],
) -> None:
    failed = Job.objects.create(
        kind=JobKind.PULL, environment=engine, created_by=operator, subject="x", state=JobState.FAILED
    )
    upload = Upload.objects.create(environment=engine, created_by=operator, name="a.tar", size=1, received=1)
    settings.UPLOADS_DIR.mkdir(exist_ok=True)
    upload.path.touch()
    client = signed_in(operator)
    doors = {
        "images/pull/": {"reference": "debian:2"},
        "images/busybox/push/": {"reference": "busybox"},
        "images/prune/": {"what": "all"},
        "images/load/": {"upload": str(upload.pk), "kind": "load"},
        f"containers/{container}/commit/": {"reference": "mine:1"},
        "volumes/prune/": {"volumes": ["v"]},
        "builds/new/": {"context": "none", "dockerfile": "FROM kept-on-the-page"},
        f"jobs/{failed.pk}/retry/": {},
    }
    for door, body in doors.items():
        answer = client.post(f"/e/local/{door}", body, follow=True)
        assert WORDS in answer.content.decode(), door
        assert set(Job.objects.values_list("pk", flat=True)) == {waiting.pk, failed.pk}, door
        assert "kept-on-the-page" not in body.get("dockerfile", "") or "kept-on-the-page" in answer.content.decode()
    fragment = client.post("/e/local/images/pull/", {"reference": "debian:2"}, headers=HTMX)
    assert (fragment.status_code, WORDS in fragment.content.decode()) == (422, True)
    upload.path.unlink()


def test_it_counts_what_is_active_and_each_person_alone(
    environment: Environment, operator: User, administrator: User, waiting: Job
) -> None:
    def begin(user: User) -> Job:
        return services.job_start(
            kind=JobKind.PULL, environment=environment, user=user, subject="y", parameters={"reference": "y"}
        )

    begin(administrator)
    with pytest.raises(services.TooManyJobs):
        begin(operator)
    services.job_cancel(job=waiting, user=operator)
    begin(operator)
    with pytest.raises(services.TooManyJobs):
        begin(operator)
