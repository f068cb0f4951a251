"""The longer commands of a usual introduction to Docker: packages from Debian, a web server, a database.

On Havre and on dockerd. The images of `nginx` and `mysql` are those of tests/fixtures/services.py.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import needs_dockerd, running
from tests.fixtures.built import build, write_context
from tests.fixtures.daemons import Daemon, HavreDaemon, PeerDaemon
from tests.fixtures.processes import wait_until
from tests.fixtures.registry import Registry, service_storage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PORT = 5001
PAGE = "Yet another hello world\n"
ROOT = ("-u", "root", "-pmy-secret-pw")
TABLE = """CREATE TABLE IF NOT EXISTS mydb.myothertable (
  column_name VARCHAR(255)
);

INSERT INTO mydb.myothertable (column_name) VALUES ('other_value');
"""


@pytest.fixture(scope="module", params=[HavreDaemon, PeerDaemon], ids=["havre", "dockerd"])
def daemon(request: pytest.FixtureRequest, image_cache: Path) -> Iterator[Daemon]:
    """An engine whose containers reach Debian's mirror, with a second registry that has the services."""
    if request.param is PeerDaemon:
        needs_dockerd()
    with (
        running(request.param, image_cache, mirrors=[f"http://127.0.0.1:{PORT}"]) as daemon,
        Registry(service_storage(), namespace=daemon.namespace, port=PORT),
        daemon.namespace.way_out(),
    ):
        yield daemon


@pytest.fixture(autouse=True)
def _clean(daemon: Daemon) -> Iterator[None]:
    yield
    daemon.remove_everything()
    daemon.docker("network", "prune", "-f")
    names = daemon.docker("volume", "ls", "-q").stdout.split()
    if names:
        daemon.docker("volume", "rm", *names)


def curl(daemon: Daemon, *arguments: str) -> str:
    """What curl on the host shows, once the server listens: before, the published port closes what it accepts."""
    return daemon.namespace.run(
        "curl", "-sS", "--retry", "40", "--retry-all-errors", "--retry-delay", "1", *arguments
    ).stdout


def ps(daemon: Daemon) -> list[str]:
    """The columns of the one line of `docker ps`."""
    (line,) = daemon.docker("ps").stdout.splitlines()[1:]
    return [word.strip() for word in line.split("  ") if word]


def test_packages_are_installed_inside(daemon: Daemon) -> None:
    with daemon.docker_terminal("run", "-ti", "debian", "bash") as terminal:
        terminal.expect(":/# ", seconds=60)
        terminal.send("apt update && apt install procps\n")
        terminal.expect("Do you want to continue? [Y/n]", seconds=300)
        terminal.send("Y\n")
        terminal.expect("Setting up procps", seconds=300)
        terminal.expect(":/# ", seconds=60)
        terminal.send("ps -aux\n")
        shown = terminal.expect(":/# ")
        assert re.search(r"root +1 .* pts/0 +SN?s +\d\d:\d\d +0:00 bash\r\n", shown)
        assert re.search(r"root +\d+ .* pts/0 +R\+ +\d\d:\d\d +0:00 ps -aux\r\n", shown)
        terminal.send("exit\n")
        assert terminal.wait() == 0


def test_a_web_server_on_port_80(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "-p", "80:80", "nginx")
    head = curl(daemon, "-I", "localhost")
    assert head.startswith("HTTP/1.1 200 OK\nServer: nginx/")
    assert "Content-Type: text/html\n" in head
    assert "HTTP/1.1 200 OK" in curl(daemon, "-I", "http://[::1]/")
    assert "HTTP/1.1 200 OK" in curl(daemon, "-I", f"http://{daemon.namespace.inside}/")
    container, image, command, _, status, ports, name = ps(daemon)
    assert (image, command) == ("nginx", '"/docker-entrypoint.…"')
    assert status.startswith("Up ")
    assert ports.replace("[::]", "::") == "0.0.0.0:80->80/tcp, :::80->80/tcp"

    lines = daemon.docker("logs", name).stdout
    assert lines == daemon.docker("logs", container).stdout
    assert '"HEAD / HTTP/1.1" 200' in lines

    taken = daemon.docker("run", "-d", "-p", "80:80", "nginx", check=False)
    assert taken.returncode == 125
    assert "port is already allocated" in taken.stderr
    assert daemon.docker("rm", "-f", name).stdout == f"{name}\n"
    daemon.docker("run", "-d", "-p", "80:80", "nginx")
    assert "HTTP/1.1 200 OK" in curl(daemon, "-I", "localhost")


def test_a_web_server_in_the_network_of_the_host(daemon: Daemon) -> None:
    daemon.docker("run", "--rm", "--net=host", "-d", "nginx")
    assert "HTTP/1.1 200 OK" in curl(daemon, "-I", "localhost")
    columns = ps(daemon)
    assert columns[2] == '"/docker-entrypoint.…"'
    assert columns[4].startswith("Up ")
    assert len(columns) == 6  # no ports
    assert daemon.docker("stop", columns[5]).stdout == f"{columns[5]}\n"
    wait_until(lambda: daemon.docker("ps", "-aq").stdout == "", seconds=10, what="the container to be removed")
    assert daemon.namespace.run("curl", "-sI", "localhost", check=False).returncode == 7


def start_database(daemon: Daemon, *options: str, image: str = "mysql:latest") -> None:
    daemon.docker("run", "--name", "my-mysql", "-e", "MYSQL_ROOT_PASSWORD=my-secret-pw", *options, "-d", image)
    wait_until(lambda: answers(daemon), seconds=120, what="the database to answer")


def answers(daemon: Daemon) -> bool:
    # By TCP: while it is being set up, the database listens on its unix socket alone.
    words = ("exec", "my-mysql", "mysql", "-h", "127.0.0.1", *ROOT, "-e", "SELECT 1")
    return daemon.docker(*words, check=False).returncode == 0


def query(daemon: Daemon, statement: str) -> str:
    return daemon.docker("exec", "my-mysql", "mysql", *ROOT, "-e", statement).stdout


def test_a_database_and_who_reaches_it(daemon: Daemon) -> None:
    daemon.docker("network", "create", "shop")
    user = ("-e", "MYSQL_USER=ann", "-e", "MYSQL_PASSWORD=it's \\ me")
    start_database(daemon, "-e", "MYSQL_DATABASE=mydb", *user, "-p", "3306:3306", "--network=shop")
    with daemon.docker_terminal("exec", "-it", "my-mysql", "bash") as terminal:
        terminal.expect(":/# ")
        terminal.send("mysql -u root -p\n")
        terminal.expect("Enter password: ")
        terminal.send("my-secret-pw\n")
        terminal.expect("> ")
        terminal.send("SHOW DATABASES;\n")
        assert "| mydb " in terminal.expect(" rows in set")
        terminal.send("exit\n")
        terminal.expect(":/# ")
        terminal.send("exit\n")
        assert terminal.wait() == 0
    # From the host by its port: whatever answers there greets as a database does.
    with daemon.namespace.connect(3306) as connection:
        connection.settimeout(10)
        assert b"MariaDB" in connection.recv(200)
    for host in ("127.0.0.1", daemon.namespace.inside):
        client = ("mysql", "-h", host, "-P", "3306", *ROOT, "-e", "SHOW DATABASES")
        assert "mydb" in daemon.namespace.run(*client).stdout.split()
    # From a neighbour by name, as root and as the user, who has that database only.
    select = ("mysql", "-h", "my-mysql", "-e", "SELECT CURRENT_USER(), DATABASE()")
    for options, said in (
        ((*ROOT, "mydb"), "root@%\tmydb\n"),
        (("-u", "ann", "-pit's \\ me", "mydb"), "ann@%\tmydb\n"),
        (("-u", "ann", "-pit's \\ me", "mysql"), "Access denied"),
        (("-u", "root", "-pwrong"), "Access denied"),
    ):
        result = daemon.docker("run", "--rm", "--net=shop", "mysql", *select, *options, check=False)
        assert said in result.stdout + result.stderr
    elsewhere = daemon.docker("run", "--rm", "mysql", *select, *ROOT, check=False)
    assert "server host 'my-mysql'" in elsewhere.stderr


def test_data_dies_with_its_container_and_lives_in_a_volume(daemon: Daemon) -> None:
    kept = ("-v", "my-mysql-data:/var/lib/mysql")
    for options, survives in (((), False), (kept, True)):
        start_database(daemon, "-e", "MYSQL_DATABASE=mydb", *options)
        query(daemon, "CREATE TABLE mydb.t (c INT); INSERT INTO mydb.t VALUES (42)")
        daemon.docker("rm", "-f", "my-mysql")
        start_database(daemon, "-e", "MYSQL_DATABASE=mydb", *options)
        count = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'mydb' AND table_name = 't'"
        assert query(daemon, count).split()[-1] == str(int(survives))
        if survives:
            assert query(daemon, "SELECT c FROM mydb.t").split() == ["c", "42"]
        daemon.docker("rm", "-f", "my-mysql")
    assert "my-mysql-data" in daemon.docker("volume", "ls", "-q").stdout.split()


def test_a_database_without_a_password_says_what_to_do(daemon: Daemon) -> None:
    result = daemon.docker("run", "--rm", "mysql", check=False)
    assert result.returncode == 1
    assert "MYSQL_ROOT_PASSWORD" in result.stderr


def test_an_image_of_ones_own_runs_its_scripts_at_the_first_start(daemon: Daemon, tmp_path: Path) -> None:
    dockerfile = "FROM mysql:latest\nENV MYSQL_DATABASE mydb\nCOPY ./scripts/ /docker-entrypoint-initdb.d/\n"
    more = gzip.compress(b"INSERT INTO myothertable (column_name) VALUES ('packed');", mtime=0)
    scripts = {
        "scripts/create_table.sql": TABLE,
        "scripts/more.sql.gz": more,
        "scripts/note.sh": "echo ran as $(id -un) > /tmp/note\n",
    }
    write_context(tmp_path, dockerfile, scripts)
    said = build(daemon, tmp_path, "-t", "my-custom-mysql").stdout
    assert "Step 2/3 : ENV MYSQL_DATABASE mydb" in said
    start_database(daemon, image="my-custom-mysql")
    assert ps(daemon)[1] == "my-custom-mysql"
    assert query(daemon, "SELECT * FROM mydb.myothertable;").split() == ["column_name", "other_value", "packed"]
    assert daemon.docker("exec", "my-mysql", "cat", "/tmp/note").stdout == "ran as root\n"
    daemon.docker("restart", "my-mysql")
    wait_until(lambda: answers(daemon), seconds=120, what="the database to answer again")
    assert query(daemon, "SELECT COUNT(*) FROM mydb.myothertable;").split()[-1] == "2"  # not run again


@pytest.mark.parametrize(
    ("dockerfile", "steps"),
    [
        pytest.param(
            "FROM debian\nMAINTAINER me\nRUN apt update \\\n    && apt install -y nginx \\\n    && apt clean \n"
            "COPY index.html /var/www/html\nEXPOSE 80 443\nCMD nginx -g 'daemon off;'\n",
            6,
            id="with a maintainer",
        ),
        pytest.param(
            "FROM debian\nRUN apt update && apt install -y nginx\nCOPY index.html /var/www/html/\nEXPOSE 80\n"
            "CMD nginx -g 'daemon off;'\n",
            5,
            id="short",
        ),
    ],
)
def test_a_web_server_of_ones_own(daemon: Daemon, tmp_path: Path, dockerfile: str, steps: int) -> None:
    write_context(tmp_path, dockerfile, {"index.html": PAGE})
    said = build(daemon, tmp_path, "-t", "first-image:v01", timeout=600).stdout
    assert said.count("\nStep ") == steps
    assert f"Step {steps}/{steps} : CMD nginx -g 'daemon off;'" in said
    assert "Setting up nginx" in said
    assert "Successfully tagged first-image:v01" in said
    if daemon.kind == "havre":
        assert "JSONArgsRecommended: JSON arguments recommended for CMD" in said
    sizes = daemon.docker("images", "--format={{.Repository}} {{.Size}}").stdout
    assert re.search(r"^first-image [23]\d\dMB$", sizes, re.MULTILINE)
    daemon.docker("run", "-d", "-p", "80:80", "first-image:v01")
    assert curl(daemon, "localhost") == PAGE

    write_context(tmp_path, dockerfile, {"index.html": "A small change\n"})
    said = build(daemon, tmp_path, "-t", "first-image:v0.2").stdout
    assert "Setting up nginx" not in said
    assert said.count("---> Using cache") == steps - 4
    daemon.remove_everything()
    daemon.docker("run", "-d", "-p", "80:80", "first-image:v0.2")
    assert curl(daemon, "localhost") == "A small change\n"
