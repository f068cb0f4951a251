"""Secrets of builds on the web side: typed, sealed, used once, told to nobody. And where whose builds may reach."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.test import Client
from django.utils import timezone

from tests.fixtures.daemons import HavreDaemon, PeerDaemon
from webui.accounts.models import User
from webui.builds import logs, selectors
from webui.builds.models import SSH_KEY, BuildSecrets
from webui.builds.secrets import KEPT, secrets_of, secrets_sweep
from webui.environments.models import Environment
from webui.jobs.models import Job, JobKind, JobState
from webui.jobs.runners import JobFailed
from webui.jobs.services import job_cancel, job_fail, job_retry
from webui.jobs.tasks import run_job
from webui.registries.models import Registry
from webui.sealing import Unreadable

VALUE = "hunter2-Geheimnis"
DIGEST = hashlib.sha256(VALUE.encode()).hexdigest()
DOCKERFILE = (
    "FROM busybox\n"
    "RUN --mount=type=secret,id=token,env=TOKEN --mount=type=secret,id=dir/rc,required=true \\\n"
    f'    echo -n "$TOKEN" | grep -q hunter && echo -n "$TOKEN" | sha256sum | grep -q {DIGEST} \\\n'
    "    && test $(wc -l < /run/secrets/rc) = 2\n"
)


def posted(client: Client, dockerfile: str = DOCKERFILE, **fields: str) -> Job:
    """A build of *dockerfile*, begun on the page."""
    rows = {
        "secrets-TOTAL_FORMS": "3",
        "secrets-INITIAL_FORMS": "0",
        "secrets-0-name": "token",
        "secrets-0-value": VALUE,
        "secrets-1-name": "dir/rc",
        "secrets-1-value": "one\r\ntwo\r\n",
    }
    client.post("/e/local/builds/new/", {"context": "none", "dockerfile": dockerfile, **rows, **fields})
    return Job.objects.latest("created_at")


def done(job: Job) -> Job:
    run_job(str(job.pk))
    job.refresh_from_db()
    return job


@pytest.fixture
def browser(operator: User, environment: Environment, signed_in: Callable[[User | None], Client]) -> Client:
    return signed_in(operator)


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    yield
    logs.sweep(set())


def test_secrets_are_sealed_apart_from_the_job(browser: Client) -> None:
    job = posted(browser)
    assert job.parameters["secrets"] == ["dir/rc", "token"]
    row = BuildSecrets.objects.get()
    assert row.opened() == {"token": VALUE, "dir/rc": "one\ntwo\n"}
    kept = json.dumps([job.parameters, job.progress, job.subject, row.sealed])
    assert VALUE not in kept
    assert "--secret id=dir/rc --secret id=token" in selectors.command_of(job)
    for address in (
        f"/e/local/builds/{job.pk}/",
        f"/e/local/builds/{job.pk}/state/",
        f"/e/local/builds/new/?like={job.pk}",
    ):
        page = browser.get(address).content.decode()
        assert VALUE not in page
        assert row.sealed not in page
    assert page.count('value="dir/rc"') == page.count('value="token"') == 1, "what is to be typed again"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"secrets-0-name": ""}, "Give it the id"),
        ({"secrets-0-name": "a b"}, "Letters, digits"),
        ({"secrets-1-name": "token"}, "The same id is there twice"),
        ({"secrets-1-value": ""}, "Type the value"),
        ({"secrets-1-value": "x" * 39_990}, "have at most 40000 bytes"),
        ({"secrets-1-value": "x" * 40_001}, "at most 40000 characters"),
        ({"dockerfile": ""}, "Write a Dockerfile"),
    ],
)
def test_the_page_says_what_is_wrong_and_sends_no_secret_back(
    browser: Client, fields: dict[str, str], words: str
) -> None:
    rows = {
        "secrets-TOTAL_FORMS": "2",
        "secrets-INITIAL_FORMS": "0",
        "secrets-0-name": "token",
        "secrets-0-value": VALUE,
        "secrets-1-name": "b",
        "secrets-1-value": "c",
    }
    body = {"context": "none", "dockerfile": "FROM a\n", **rows, **fields}
    answer = browser.post("/e/local/builds/new/", body)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert words in page
    assert VALUE not in page
    assert not Job.objects.exists()


def test_a_row_opens_for_its_own_job_alone(browser: Client) -> None:
    one, other = posted(browser), posted(browser)
    row = one.build_secrets
    other.build_secrets.delete()
    BuildSecrets.objects.filter(pk=row.pk).update(job=other)
    with pytest.raises(Unreadable):
        BuildSecrets.objects.get().opened()
    with pytest.raises(JobFailed, match="cannot be read any more"):
        secrets_of(Job.objects.get(pk=other.pk))


def test_a_second_try_has_the_secrets_in_the_same_hands(browser: Client, operator: User, administrator: User) -> None:
    job = posted(browser)
    job_fail(job=job, message="no")
    again = job_retry(job=Job.objects.get(pk=job.pk), user=operator)
    assert secrets_of(again)["token"] == VALUE
    job_cancel(job=again, user=operator)
    third = job_retry(job=Job.objects.get(pk=again.pk), user=operator)
    assert secrets_of(third)["token"] == VALUE
    job_cancel(job=third, user=operator)
    with pytest.raises(JobFailed, match="another person's"):
        secrets_of(job_retry(job=Job.objects.get(pk=third.pk), user=administrator))


def test_secrets_of_ended_builds_are_forgotten(browser: Client, operator: User) -> None:
    job = posted(browser)
    assert secrets_sweep(now=timezone.now() + 2 * KEPT) == 0, "it has not ended"
    job_fail(job=job, message="no")
    assert secrets_sweep() == 0
    again = job_retry(job=Job.objects.get(pk=job.pk), user=operator)
    assert secrets_sweep(now=timezone.now() + 2 * KEPT) == 0, "somebody tries it again"
    job_cancel(job=again, user=operator)
    assert secrets_sweep(now=timezone.now() + KEPT + dt.timedelta(minutes=1)) == 1
    with pytest.raises(JobFailed, match="not kept any more"):
        secrets_of(Job.objects.get(pk=job.pk))


@pytest.mark.django_db(transaction=True)
def test_a_build_uses_its_secrets_and_forgets_them(engine: Environment, browser: Client, havre: HavreDaemon) -> None:
    failed = done(posted(browser, DOCKERFILE + "RUN false\n"))
    assert failed.state == JobState.FAILED
    assert BuildSecrets.objects.count() == 1
    job = done(posted(browser, DOCKERFILE, tags="with-secret"))
    assert job.state == JobState.SUCCEEDED, job.message
    assert not BuildSecrets.objects.filter(job=job).exists()
    told = json.dumps([job.progress, logs.read(job.pk, offset=0).rows])
    image = havre.docker("history", "--no-trunc", "with-secret").stdout + havre.docker("inspect", "with-secret").stdout
    assert VALUE not in told + image


def ssh_key() -> str:
    private = Ed25519PrivateKey.generate()
    return private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


@pytest.mark.parametrize("text", ["hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2", "ssh-ed25519 A hunter2"])
def test_what_is_no_key_is_told_without_showing_it(browser: Client, text: str) -> None:
    answer = browser.post("/e/local/builds/new/", {"context": "none", "dockerfile": "FROM a\n", "ssh_key": text})
    assert answer.status_code == 422
    assert b"Paste the whole file" in answer.content
    assert b"hunter2" not in answer.content


@pytest.mark.django_db(transaction=True)
def test_commands_sign_with_a_key_that_nobody_reads(engine: Environment, browser: Client) -> None:
    key = ssh_key()
    dockerfile = 'FROM busybox\nRUN --mount=type=ssh,required test -S "$SSH_AUTH_SOCK"\n'
    fields = {"secrets-0-name": "", "secrets-0-value": "", "secrets-1-name": "", "secrets-1-value": ""}
    job = posted(browser, dockerfile, **fields, ssh_key=key.replace("\n", "\r\n"))
    assert BuildSecrets.objects.get().opened() == {SSH_KEY: key}
    assert selectors.command_of(job) == "docker build --ssh default - < Dockerfile"
    for address in (f"/e/local/builds/{job.pk}/", f"/e/local/builds/new/?like={job.pk}"):
        assert "PRIVATE KEY" not in browser.get(address).content.decode()
    assert done(job).state == JobState.SUCCEEDED, job.message
    assert not BuildSecrets.objects.exists()
    with pytest.raises(JobFailed, match="not kept any more"):
        secrets_of(job)


@pytest.mark.django_db(transaction=True)
def test_another_engine_has_no_way_for_secrets(stock: Environment, browser: Client, dockerd: PeerDaemon) -> None:
    job = done(posted(browser))
    assert job.state == JobState.FAILED
    assert "docker buildx build --secret" in job.message


@pytest.mark.django_db(transaction=True)
def test_only_an_administrators_build_reaches_private_addresses(
    engine: Environment,
    operator: User,
    administrator: User,
    signed_in: Callable[[User | None], Client],
    havre: HavreDaemon,
) -> None:
    mirror = havre.mirrors[0]
    host = mirror.partition("//")[2]
    for dockerfile in (f"FROM {host}/library/busybox\n", f"FROM busybox\nADD {mirror}/v2/ /x\n"):
        body = {"context": "none", "dockerfile": dockerfile}
        signed_in(operator).post("/e/local/builds/new/", body)
        job = done(Job.objects.filter(kind=JobKind.BUILD).latest("created_at"))
        assert job.state == JobState.FAILED
        assert "is no public address" in job.message
        signed_in(administrator).post("/e/local/builds/new/", body)
        job = done(Job.objects.filter(kind=JobKind.BUILD).latest("created_at"))
        assert job.state == JobState.SUCCEEDED, job.message
        havre.docker("rmi", "-f", f"{host}/library/busybox", check=False)
    Registry.objects.create(environment=engine, host=host)
    signed_in(operator).post(
        "/e/local/builds/new/", {"context": "none", "dockerfile": f"FROM {host}/library/busybox\n"}
    )
    assert done(Job.objects.filter(kind=JobKind.BUILD).latest("created_at")).state == JobState.SUCCEEDED
