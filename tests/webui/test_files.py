"""The files of containers in the pages, with a real engine behind them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

import pytest
from django.conf import LazySettings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient, Client

from tests.fixtures.daemons import HavreDaemon
from webui.accounts.models import User
from webui.containers import browsing
from webui.environments.models import Environment

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
FILES = "/e/local/containers/web/files/"
SCRIPT = """
echo new > /new; echo changed > /etc/passwd; rm /bin/vi
ln -s /nowhere /lost; ln -s /etc /config; ln -s ../../../../etc/passwd /up; ln -s /self /self
mkdir -p '/odd/<b>x' /odd/empty; echo a > "/odd/'\\"&<i>"; touch "$(printf '/odd/\\377')"
printf 'a\\000b' > /binary; mkfifo /pipe; head -c 400000 /dev/zero | tr '\\000' x > /long
mkdir /many; cd /many; i=0; while [ $i -lt 2100 ]; do : > f$i; i=$((i+1)); done
touch /ready; sleep 600
"""


@pytest.fixture
def browser(operator: User, engine: Environment, signed_in: Callable[[User | None], Client]) -> Client:
    return signed_in(operator)


@pytest.fixture(scope="module", autouse=True)
def container(havre: HavreDaemon) -> str:
    """A container that has done all sorts of things to its files."""
    havre.docker("pull", "-q", "busybox")
    started = havre.docker("run", "-d", "--init", "--name", "web", "-v", "data:/data", "busybox", "sh", "-c", SCRIPT)
    havre.docker("exec", "web", "sh", "-c", "while [ ! -e /ready ]; do sleep 0.1; done")
    return started.stdout.strip()


def test_a_directory_tells_what_is_there_and_what_has_changed(browser: Client) -> None:
    page = browser.get(FILES).content.decode()
    row = _rows(page)
    assert "new" in row["new"]
    assert 'class="file-added"' in row["new"]
    assert "leads nowhere" in row["lost"]
    assert "→ /etc" in row["config"]
    assert 'class="file-modified"' in row["etc"]
    assert "pipe" in row["pipe"]
    assert "leads nowhere" in row["self"]
    gone = _rows(browser.get(f"{FILES}?path=/bin").content.decode())["vi"]
    assert 'class="file-deleted"' in gone
    assert "<a " not in gone


def test_names_of_files_are_text(browser: Client) -> None:
    page = browser.get(f"{FILES}?path=/odd").content.decode()
    assert "<b>x" not in page
    assert "&lt;b&gt;x" in page
    assert "path=%2Fodd%2F%27%22%26%3Ci%3E" in page
    assert "Its name is no text" in page
    assert browser.get(f"{FILES}read/", {"path": "/odd/'\"&<i>"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/config", "/etc"),
        ("/odd/../odd//empty", "/odd/empty"),
        ("/../../../etc", "/etc"),
        ("relative", None),
        ("/new", None),
        ("/self", None),
        ("/no/such", None),
        ("/" + "a" * 5000, None),
    ],
)
def test_a_path_leads_nowhere_but_into_the_container(browser: Client, path: str, there: str | None) -> None:
    answer = browser.get(FILES, {"path": path})
    assert answer.status_code == 200
    page = answer.content.decode()
    if there is None:
        assert 'class="engine-words"' in page
    else:
        assert f'value="{there}" data-drop-files-target="path"' in page


def test_a_directory_of_very_many_is_cut(browser: Client) -> None:
    page = browser.get(f"{FILES}?path=/many").content.decode()
    assert len(_rows(page)) == browsing.MOST_ENTRIES
    assert "There are more" in page


def test_small_texts_are_read_in_the_page(browser: Client) -> None:
    def read(path: str) -> str:
        return browser.get(f"{FILES}read/", {"path": path}).content.decode()

    assert "changed" in read("/etc/passwd")
    # Through a link that would lead out of the container, were it followed on the host.
    assert ">changed\n<" in read("/up")
    assert "This is no text" in read("/binary")
    assert "The file is empty" in read("/ready")
    assert "Only its beginning" in read("/long")
    assert browser.get(f"{FILES}read/", {"path": "/etc"}).status_code == 400
    assert browser.get(f"{FILES}read/", {"path": "/pipe"}).status_code == 400
    assert browser.get(f"{FILES}read/", {"path": "/lost"}).status_code == 404


@pytest.mark.django_db(transaction=True)
async def test_downloads_are_the_file_or_an_archive(engine: Environment, operator: User) -> None:
    browser = AsyncClient()
    await browser.aforce_login(operator, backend=BACKEND)

    async def download(address: str) -> tuple[str, bytes]:
        answer = await browser.get(f"/e/local/containers/web/{address}")
        assert answer["Content-Type"] == "application/octet-stream"
        return answer["Content-Disposition"], b"".join([part async for part in answer])

    assert await download("files/download/?path=/long") == ('attachment; filename="long"', b"x" * 400_000)
    assert (await download("files/download/?path=/up"))[1] == b"changed\n"
    name, archive = await download("files/download/?path=/etc")
    assert name == 'attachment; filename="etc.tar"'
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert "etc/passwd" in tar.getnames()
    name, archive = await download("export/")
    assert name == 'attachment; filename="web.tar"'
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert "new" in [name.removeprefix("./") for name in tar.getnames()]


def test_uploads_go_into_the_directory(browser: Client, havre: HavreDaemon, settings: LazySettings) -> None:
    def upload(path: str, *files: SimpleUploadedFile) -> tuple[int, str]:
        answer = browser.post(f"{FILES}upload/", {"path": path, "files": files, "fetch": "1"})
        return answer.status_code, answer.content.decode()

    two = (SimpleUploadedFile("a b.txt", b"one"), SimpleUploadedFile("über<i>", b"2" * 3000))
    status, words = upload("/data", *two)
    assert (status, "2 files are in /data" in words) == (200, True)
    assert havre.docker("exec", "web", "cat", "/data/a b.txt").stdout == "one"
    assert havre.docker("exec", "web", "wc", "-c", "/data/über<i>").stdout.startswith("3000 ")
    # The directory is a link, which leads where it leads in the container.
    assert upload("/config", SimpleUploadedFile("here", b"x"))[0] == 200
    assert havre.docker("exec", "web", "cat", "/etc/here").stdout == "x"
    status, words = upload("/no/such", SimpleUploadedFile("x", b"x"))
    assert (status, "Could not find" in words) == (422, True)
    # A directory is not replaced by a file of its name.
    assert upload("/", SimpleUploadedFile("etc", b"x"))[0] == 422
    settings.UPLOAD_LIMIT = 2
    assert upload("/data", SimpleUploadedFile("x", b"xxx"))[0] == 422


def test_a_stranger_to_the_host_does_not_reach_it_through_files(
    browser: Client, administrator: User, signed_in: Callable[[User | None], Client], havre: HavreDaemon
) -> None:
    havre.docker("create", "--name", "root", "-v", "/:/host", "busybox")
    for address in ("files/?path=/host", "files/read/?path=/host/etc/passwd", "files/download/?path=/host", "export/"):
        answer = browser.get(f"/e/local/containers/root/{address}")
        assert answer.status_code == 403
        assert "Only an administrator" in answer.content.decode()
    answer = browser.post("/e/local/containers/root/files/upload/", {"path": "/host/tmp", "files": []})
    assert answer.status_code == 403
    assert signed_in(administrator).get("/e/local/containers/root/files/?path=/etc").status_code == 200
    havre.docker("rm", "root")


def _rows(page: str) -> dict[str, str]:
    """The rows of the table by the name in them."""
    parts = page[page.index("<tbody>") : page.index("</tbody>")].split("<tr")[1:]
    names = [part[: part.index("</td>")] for part in parts]
    found = {}
    for part, cell in zip(parts, names, strict=True):
        text = cell[cell.index("</svg>") :]
        name = text[text.index(">", text.index("<a" if "<a" in text else "<span")) + 1 :].partition("<")[0]
        found[name] = part
    return found
