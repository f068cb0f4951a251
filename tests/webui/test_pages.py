"""The pages with a real engine behind them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from channels.testing import WebsocketCommunicator
from django.test import AsyncClient, Client

from tests.fixtures.daemons import HavreDaemon
from tests.fixtures.processes import wait_until
from webui import gateway
from webui.accounts.models import User
from webui.asgi import application
from webui.environments import bulk
from webui.environments.models import Environment
from webui.jobs import services as jobs
from webui.jobs.models import Job, JobKind, JobState
from webui.jobs.tasks import run_job


@pytest.fixture
def browser(operator: User, engine: Environment, signed_in: Callable[[User | None], Client]) -> Client:
    return signed_in(operator)


@pytest.fixture
def container(havre: HavreDaemon) -> str:
    """A running container that prints a line and waits."""
    havre.remove_everything()
    return havre.docker(
        "run", "-d", "--name", "web", "busybox", "sh", "-c", "echo '<b>hello</b>'; sleep 600"
    ).stdout.strip()


def test_the_dashboard_counts(browser: Client, container: str) -> None:
    page = browser.get("/e/local/").content.decode()
    assert "Debian" in page or "Linux" in page
    assert "web" in page
    assert "Havre 0.1.0" in page


def test_the_dashboard_counts_the_images_that_the_list_shows(browser: Client, havre: HavreDaemon) -> None:
    steps = "FROM busybox\nRUN true\nENV a=b\nRUN true\n"
    havre.docker("build", "-q", "-t", "steps", "-", stdin=steps)
    shown = len(havre.docker("images", "-q").stdout.split())
    assert shown < len(havre.docker("images", "-aq").stdout.split())
    page = browser.get("/e/local/").content.decode()
    assert f"<strong>{shown}</strong><span>images</span>" in page
    havre.docker("rmi", "steps")


def test_one_that_ended_with_an_error_has_one_colour(browser: Client, havre: HavreDaemon) -> None:
    havre.remove_everything()
    havre.docker("run", "--name", "failed", "busybox", "false", check=False)
    for path in ("", "failed/"):
        assert 'class="state state-red"' in browser.get(f"/e/local/containers/{path}").content.decode(), path
    assert ">code 1, " in browser.get("/e/local/containers/").content.decode()


def test_the_dashboard_names_those_that_the_kernel_killed(browser: Client, havre: HavreDaemon) -> None:
    havre.remove_everything()
    grow = "x=a; while true; do x=$x$x; done"
    havre.docker("run", "--name", "greedy", "-m", "16m", "busybox", "sh", "-c", grow, check=False)
    havre.docker("run", "-d", "--name", "stopped", "busybox", "sleep", "600")
    havre.docker("kill", "stopped")
    page = browser.get("/e/local/").content.decode()
    attention = page[page.index("Needs attention") : page.index("Running</h2>")]
    assert ">greedy</a>" in attention
    assert 'class="state state-red"' in browser.get("/e/local/containers/greedy/").content.decode()
    assert "stopped" not in attention


def test_the_list_filters_and_sorts(browser: Client, container: str) -> None:
    assert container[:12] in browser.get("/e/local/containers/?q=state:running&sort=name").content.decode()
    assert container[:12] not in browser.get("/e/local/containers/?q=state:exited").content.decode()


def test_a_fragment_is_no_whole_page(browser: Client, container: str) -> None:
    fragment = browser.get("/e/local/containers/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in fragment
    assert container[:12] in fragment


def test_a_row_that_is_gone_is_empty(browser: Client, engine: Environment) -> None:
    assert browser.get(f"/e/local/containers/{'0' * 64}/row/").content == b""


@pytest.mark.parametrize("tab", ["", "logs/", "terminal/", "usage/", "files/", "changes/", "inspect/", "update/"])
def test_the_tabs(browser: Client, container: str, tab: str) -> None:
    answer = browser.get(f"/e/local/containers/{container[:12]}/{tab}")
    assert answer.status_code == 200
    assert b"web" in answer.content


def test_what_a_container_says_is_text(browser: Client, havre: HavreDaemon) -> None:
    havre.remove_everything()
    evil = "<script>alert(1)</script>"
    identifier = havre.docker(
        "create", "--label", f"x={evil}", "-e", f"X={evil}", "busybox", "echo", evil
    ).stdout.strip()
    for tab in ("", "inspect/"):
        page = browser.get(f"/e/local/containers/{identifier}/{tab}").content.decode()
        assert evil not in page
        assert "&lt;script&gt;" in page


def test_a_viewer_does_not_learn_what_stands_in_commands(
    viewer: User, operator: User, engine: Environment, signed_in: Callable[[User | None], Client], havre: HavreDaemon
) -> None:
    havre.remove_everything()
    container = havre.docker("create", "--name", "db", "busybox", "serve", "--password=hunter2").stdout.strip()
    watching, working = signed_in(viewer), signed_in(operator)
    assert b"hunter2" in working.get(f"/e/local/containers/{container}/").content
    assert b"hunter2" not in watching.get(f"/e/local/containers/{container}/").content
    # Nor by trying: what the filter finds tells as much.
    assert container[:12] in working.get("/e/local/containers/?q=hunter2").content.decode()
    assert container[:12] not in watching.get("/e/local/containers/?q=hunter2").content.decode()
    assert container[:12] in watching.get("/e/local/containers/?q=db").content.decode()


def test_what_compose_made_together_is_found_together(browser: Client, container: str, havre: HavreDaemon) -> None:
    label = "com.docker.compose.project=shop"
    members = [havre.docker("create", "--label", label, "busybox", "true").stdout.strip() for _ in range(2)]
    page = browser.get("/e/local/containers/").content.decode()
    assert "0 of 2 run" in page
    assert "?q=project%3Ashop" in page
    alone = browser.get("/e/local/containers/?q=project:shop").content.decode()
    assert all(member[:12] in alone for member in members)
    assert f"/{container[:12]}/" not in alone


def test_acting_on_many_tells_what_failed(browser: Client, container: str) -> None:
    answer = browser.post(
        "/e/local/containers/act/",
        {"verb": "stop", "timeout": "0", "containers": [container, "0" * 64]},
        headers={"HX-Request": "true"},
    ).content.decode()
    assert "1 container stopped" in answer
    assert "1 of 2 failed" in answer
    assert "No such container" in answer


@pytest.mark.parametrize(
    ("error", "abreast", "done"),
    [(gateway.Unreachable, 1, ["a"]), (gateway.TimedOut, 1, ["a"]), (gateway.TimedOut, 2, ["a", "c", "d"])],
)
def test_what_takes_too_long_keeps_none_of_the_others_beside_it(
    environment: Environment, error: type[gateway.ClientError], abreast: int, done: list[str]
) -> None:
    dealt_with = []

    def act(_: gateway.Client, name: str) -> None:
        if name == "b":
            raise error("no answer")
        dealt_with.append(name)

    outcome = bulk.each(environment=environment, names=["a", "b", "a", "c", "d"], act=act, abreast=abreast)
    assert sorted(dealt_with) == done
    assert outcome.done == len(done)
    assert outcome.failures == tuple((name, "no answer") for name in "abcd" if name not in done)


def test_a_signal_and_a_time_to_stop(browser: Client, havre: HavreDaemon) -> None:
    havre.remove_everything()
    script = "trap 'echo again' HUP; echo ready; while :; do sleep 0.1; done"
    container = havre.docker("run", "-d", "busybox", "sh", "-c", script).stdout.strip()
    wait_until(lambda: "ready" in havre.docker("logs", container).stdout, what="the trap")
    act = {"containers": [container], "verb": "kill"}
    assert browser.post("/e/local/containers/act/", {**act, "signal": "SIGHUP"}).status_code == 302
    wait_until(lambda: "again" in havre.docker("logs", container).stdout, what="the signal")
    # It takes no notice of SIGTERM: only with the time that is given it ends at once.
    assert browser.post("/e/local/containers/act/", {**act, "verb": "stop", "timeout": "0"}).status_code == 302
    assert havre.docker("inspect", "-f", "{{.State.ExitCode}}", container).stdout == "137\n"
    for wrong in ({"signal": "PLEASE"}, {"verb": "stop", "timeout": "-1"}, {"verb": "explode"}):
        assert browser.post("/e/local/containers/act/", {**act, **wrong}).status_code == 400


def test_what_removal_loses_and_cleaning_up_frees(browser: Client, container: str, havre: HavreDaemon) -> None:
    script = "head -c 3000000 /dev/zero > /big"
    ended = havre.docker("run", "-d", "--name", "ended", "-v", "/own", "busybox", "sh", "-c", script).stdout.strip()
    havre.docker("wait", "ended")
    loss = browser.get("/e/local/containers/loss/", {"containers": [ended]}).content.decode()
    assert "3 MB are lost" in loss
    assert "One anonymous volume" in loss
    dialog = browser.get("/e/local/containers/stopped/").content.decode()
    assert "ended" in dialog
    assert "free 3 MB" in dialog
    assert container not in dialog


def test_the_list_shows_the_columns_that_were_chosen(browser: Client, container: str) -> None:
    usual = browser.get("/e/local/containers/").content.decode()
    assert 'data-gauge="cpu"' in usual
    few = browser.get("/e/local/containers/?columns=&columns=networks").content.decode()
    assert 'data-gauge="cpu"' not in few
    assert "172." in few
    row = browser.get(f"/e/local/containers/{container}/row/?columns=&columns=networks").content.decode()
    assert 'data-gauge="cpu"' not in row
    assert "row/?columns=&amp;columns=networks" in few


@pytest.mark.django_db(transaction=True)
def test_a_commit_is_a_job(browser: Client, operator: User, container: str, havre: HavreDaemon) -> None:
    havre.docker("exec", "web", "touch", "/made-here")
    address = f"/e/local/containers/{container}/commit/"
    assert browser.post(address, {"reference": "Not A Name"}).status_code == 422
    answer = browser.post(address, {"reference": "127.0.0.1:5000/my/app", "comment": "x", "pause": "on"})
    assert answer.status_code == 302
    job = Job.objects.get()
    run_job(str(job.pk))
    job.refresh_from_db()
    assert (job.state, job.kind) == (JobState.SUCCEEDED, JobKind.COMMIT)
    run = ("run", "--rm", "127.0.0.1:5000/my/app:latest", "ls", "/made-here")
    assert havre.docker(*run).stdout == "/made-here\n"
    assert havre.docker("inspect", "-f", "{{.Author}} {{.Comment}}", "127.0.0.1:5000/my/app").stdout == "olga x\n"
    havre.docker("rmi", "127.0.0.1:5000/my/app")


@pytest.mark.django_db(transaction=True)
async def test_what_containers_use_is_told_to_the_list(engine: Environment, operator: User, havre: HavreDaemon) -> None:
    havre.remove_everything()
    busy = havre.docker("run", "-d", "busybox", "sh", "-c", "while :; do :; done").stdout.strip()
    browser = AsyncClient()
    await browser.aforce_login(operator, backend="allauth.account.auth_backends.AuthenticationBackend")
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in browser.cookies.items())
    headers = [(b"host", b"testserver"), (b"origin", b"http://testserver"), (b"cookie", cookies.encode())]
    communicator = WebsocketCommunicator(application, "/ws/e/local/usage/", headers=headers)
    assert (await communicator.connect(timeout=5))[0]
    await communicator.send_json_to({"type": "watch", "ids": [busy, "0" * 64, "../x", 5]})
    rows = (await communicator.receive_json_from(timeout=20))["rows"]
    assert list(rows) == [busy]
    while rows[busy][0] is None:
        rows = (await communicator.receive_json_from(timeout=20))["rows"]
    assert rows[busy][0] > 0.05
    assert rows[busy][1] > 10_000
    await communicator.disconnect()


def test_creating_and_starting(browser: Client, havre: HavreDaemon) -> None:
    havre.remove_everything()
    data = {"image": "busybox", "name": "made", "command": "sleep 600", "network": "none", "restart_policy": "no"}
    for prefix in ("ports", "binds", "variables", "labels"):
        data |= {f"{prefix}-TOTAL_FORMS": "0", f"{prefix}-INITIAL_FORMS": "0"}
    havre.docker("pull", "busybox")
    assert browser.post("/e/local/containers/new/", {**data, "start": "1"}).status_code == 302
    assert "made" in havre.docker("ps", "--format", "{{.Names}}").stdout
    again = browser.post("/e/local/containers/new/", data)
    assert again.status_code == 422
    assert "already in use" in again.content.decode()
    missing = browser.post("/e/local/containers/new/", {**data, "name": "", "image": "nowhere:1"})
    assert "No such image" in missing.content.decode()
    assert 'data-pull="nowhere:1"' in missing.content.decode()


@pytest.mark.django_db(transaction=True)
async def test_the_log_as_a_file(engine: Environment, operator: User, container: str) -> None:
    browser = AsyncClient()
    await browser.aforce_login(operator, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = await browser.get(f"/e/local/containers/{container}/logs/download/")
    assert b"".join([part async for part in answer]) == b"<b>hello</b>\n"
    assert answer["Content-Disposition"] == 'attachment; filename="web.log"'


def test_an_engine_that_is_away_is_told(
    operator: User, environment: Environment, signed_in: Callable[[User | None], Client]
) -> None:
    environment.url = "unix:///nowhere/engine.sock"
    environment.save()
    answer = signed_in(operator).get("/e/local/containers/")
    assert answer.status_code == 502
    assert "does not answer" in answer.content.decode()


# --- jobs ------------------------------------------------------------------------------------------------------------


def _job(environment: Environment, user: User, reference: str) -> Job:
    return Job.objects.create(
        kind=JobKind.PULL,
        environment=environment,
        created_by=user,
        subject=reference,
        parameters={"reference": reference},
    )


@pytest.mark.django_db(transaction=True)
def test_a_pull_is_a_job(engine: Environment, operator: User, havre: HavreDaemon) -> None:
    havre.remove_everything()
    havre.docker("rmi", "-f", "busybox", check=False)
    job = _job(engine, operator, "busybox")
    run_job(str(job.pk))
    job.refresh_from_db()
    assert (job.state, job.message) == (JobState.SUCCEEDED, "Downloaded newer image for busybox:latest")
    assert all(layer["done"] for layer in job.progress["layers"])
    assert job.progress["current"] == job.progress["total"] > 0


@pytest.mark.django_db(transaction=True)
def test_a_pull_that_cannot_be_says_why(engine: Environment, administrator: User) -> None:
    job = _job(engine, administrator, "127.0.0.1:5000/nothing-of-the-kind:1")
    run_job(str(job.pk))
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "nothing-of-the-kind" in job.message


@pytest.mark.django_db(transaction=True)
def test_a_right_taken_away_stops_a_queued_job(engine: Environment, operator: User) -> None:
    job = _job(engine, operator, "busybox")
    operator.grants.all().delete()
    run_job(str(job.pk))
    job.refresh_from_db()
    assert job.state == JobState.FAILED


def test_a_cancelled_job_stays_cancelled(environment: Environment, operator: User) -> None:
    job = jobs.job_begin(job=_job(environment, operator, "debian"))
    jobs.job_cancel(job=job, user=operator)
    assert not jobs.job_progress(job=job, progress={})
    with pytest.raises(jobs.IllegalTransition):
        jobs.job_succeed(job=job, message="", progress={})


def test_a_job_whose_worker_is_gone_fails(environment: Environment, operator: User) -> None:
    job = jobs.job_begin(job=_job(environment, operator, "debian"))
    Job.objects.filter(pk=job.pk).update(seen_at=job.seen_at - jobs.SILENCE * 2)
    assert jobs.jobs_reap() == 1
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "worker" in job.message


@pytest.mark.django_db(transaction=True)
def test_an_engine_that_is_away_fails_a_pull(environment: Environment, operator: User) -> None:
    environment.url = "unix:///nowhere/engine.sock"
    environment.save()
    job = _job(environment, operator, "debian")
    run_job(str(job.pk))
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "cannot be reached" in job.message


# --- streams ---------------------------------------------------------------------------------------------------------


async def _socket(path: str, user: User) -> WebsocketCommunicator:
    client = Client()
    await client.aforce_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    headers = [(b"host", b"testserver"), (b"origin", b"http://testserver"), (b"cookie", cookies.encode())]
    communicator = WebsocketCommunicator(application, path, headers=headers)
    assert (await communicator.connect(timeout=5))[0]
    return communicator


@pytest.mark.django_db(transaction=True)
async def test_the_log_streams(engine: Environment, operator: User, container: str) -> None:
    socket = await _socket(f"/ws/e/local/containers/{container}/logs/?tail=10", operator)
    message = json.loads(await socket.receive_from(timeout=10))
    assert message["type"] == "lines"
    assert [line[1:] for line in message["lines"]] == [[1, "<b>hello</b>", 0]]
    await socket.disconnect()


@pytest.mark.django_db(transaction=True)
async def test_a_terminal_answers_and_says_why_it_ended(engine: Environment, operator: User, container: str) -> None:
    socket = await _socket(f"/ws/e/local/containers/{container}/terminal/?shell=sh&rows=30&cols=100", operator)
    assert json.loads(await socket.receive_from(timeout=10)) == {"type": "ready"}
    await socket.send_to(bytes_data=b"echo $((6*7)); stty size; exit 5\n")
    seen, message = b"", None
    while message is None:
        output = await socket.receive_output(timeout=10)
        if output.get("bytes"):
            seen += output["bytes"]
        elif output.get("text"):
            message = json.loads(output["text"])
    assert b"\n42\r\n" in seen
    assert b"30 100" in seen
    assert message["code"] == 5
    assert "code 5" in message["reason"]
    await socket.disconnect()


@pytest.mark.django_db(transaction=True)
async def test_the_page_hears_what_changed(
    engine: Environment, operator: User, container: str, havre: HavreDaemon
) -> None:
    socket = await _socket(f"/ws/e/local/events/?since={time.time()}", operator)
    havre.docker("kill", container)
    actions = []
    while "die" not in actions:
        message = json.loads(await socket.receive_from(timeout=10))
        if message["type"] == "container":
            assert message["id"] == container
            actions.append(message["action"])
    await socket.disconnect()


@pytest.mark.django_db(transaction=True)
async def test_the_use_of_resources_streams(engine: Environment, operator: User, container: str) -> None:
    socket = await _socket(f"/ws/e/local/containers/{container}/stats/", operator)
    samples = [json.loads(await socket.receive_from(timeout=10)) for _ in range(2)]
    assert [sample["type"] for sample in samples] == ["sample", "sample"]
    assert samples[1]["at"] > samples[0]["at"]
    assert samples[1]["memory"] > 0
    assert samples[1]["limit"] > samples[1]["memory"]
    assert samples[1]["processes"] >= 1
    await socket.disconnect()


# --- what a container uses, has changed, and why it ended ------------------------------------------------------------


def test_processes(browser: Client, container: str, havre: HavreDaemon) -> None:
    page = browser.get(f"/e/local/containers/{container}/processes/").content.decode()
    assert "sleep 600" in page
    assert "<html" not in page
    havre.docker("stop", "-t", "0", "web")
    assert "does not run" in browser.get(f"/e/local/containers/{container}/processes/").content.decode()


def test_changes(browser: Client, container: str, havre: HavreDaemon) -> None:
    assert "Nothing is different" in browser.get(f"/e/local/containers/{container[:12]}/changes/").content.decode()
    havre.docker("exec", "web", "sh", "-c", "touch '/<i>new'; rm /etc/group")
    page = browser.get(f"/e/local/containers/{container[:12]}/changes/").content.decode()
    assert "/&lt;i&gt;new" in page
    assert 'class="change-deleted"' in page


def test_why_it_ended(browser: Client, container: str, havre: HavreDaemon) -> None:
    assert "Why it ended" not in browser.get(f"/e/local/containers/{container}/deaths/").content.decode()
    havre.docker("kill", "-s", "TERM", "web")
    havre.docker("kill", "web")
    page = browser.get(f"/e/local/containers/{container}/deaths/").content.decode()
    assert "Somebody asked for it (kill with SIGKILL)" in page
    assert "&lt;b&gt;hello&lt;/b&gt;" in page


def test_a_container_is_changed(browser: Client, container: str, havre: HavreDaemon) -> None:
    address = f"/e/local/containers/{container[:12]}/update/"
    assert b'value="web"' in browser.get(address).content
    form = {"name": "site", "memory": "64", "cpus": "0.5", "restart_policy": "on-failure", "maximum_retries": "3"}
    assert browser.post(address, form).status_code == 302
    document = json.loads(havre.docker("inspect", "site").stdout)[0]
    assert (document["HostConfig"]["Memory"], document["HostConfig"]["NanoCpus"]) == (64 << 20, 500_000_000)
    assert document["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    again = browser.post(address, {**form, "memory": "", "cpus": "0.25"})
    assert again.status_code == 302
    document = json.loads(havre.docker("inspect", "site").stdout)[0]
    assert (document["HostConfig"]["Memory"], document["HostConfig"]["NanoCpus"]) == (64 << 20, 250_000_000)
    assert document["HostConfig"]["MemorySwap"] == 128 << 20
    # Above what it may have with swap; what it may swap stays the same.
    further = {**form, "memory": "0.25g", "memory_swap": "128m", "cpus": "0.25", "cpu_shares": "512"}
    further["pids_limit"] = "50"
    assert browser.post(address, further).status_code == 302
    limits = json.loads(havre.docker("inspect", "site").stdout)[0]["HostConfig"]
    assert (limits["Memory"], limits["MemorySwap"]) == (256 << 20, 320 << 20)
    assert (limits["CpuShares"], limits["PidsLimit"]) == (512, 50)
    assert browser.post(address, {**further, "memory_swap": "256m", "pids_limit": "-1"}).status_code == 302
    limits = json.loads(havre.docker("inspect", "site").stdout)[0]["HostConfig"]
    assert (limits["Memory"], limits["MemorySwap"], limits["PidsLimit"]) == (256 << 20, 256 << 20, -1)


def test_a_change_that_cannot_be_changes_nothing(browser: Client, container: str, havre: HavreDaemon) -> None:
    address = f"/e/local/containers/{container[:12]}/update/"
    form = {"name": "web", "memory": "", "cpus": "", "restart_policy": "no", "maximum_retries": ""}
    for wrong, words in (
        ({"name": "a b"}, "Letters, digits"),
        ({"memory": "1"}, "6"),
        ({"memory": "64m", "memory_swap": "32m"}, "cannot be less than memory"),
        ({"memory_swap": "64m"}, "needs a limit of memory"),
        ({"cpus": "4000"}, "Range of CPUs"),
    ):
        answer = browser.post(address, {**form, **wrong})
        assert answer.status_code == 422
        assert words in answer.content.decode()
    assert json.loads(havre.docker("inspect", "web").stdout)[0]["HostConfig"]["NanoCpus"] == 0
