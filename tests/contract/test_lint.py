"""Checks of Dockerfiles over the socket: for an editor, and in the stream of a build."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.client import Client, InvalidRequest, NotSupported, TextEdit
from tests.fixtures.built import build, write_context
from tests.fixtures.daemons import HavreDaemon, PeerDaemon

NGINX = """\
FROM debian
RUN apt update && apt install -y nginx
COPY index.html /var/www/html/
EXPOSE 80
CMD nginx -g 'daemon off;'
"""


def test_an_editor_gets_warnings_with_places_and_fixes(havre: HavreDaemon) -> None:
    with Client(f"unix://{havre.socket}") as client:
        report = client.lint(NGINX, dockerignore="*.html")
    assert report.error is None
    ignored, shell = report.warnings
    assert (ignored.rule, ignored.line, ignored.at.column, ignored.at.length) == ("CopyIgnoredFile", 3, 6, 10)
    assert ignored.message == 'Attempting to Copy file "index.html" that is excluded by .dockerignore'
    assert shell.rule == "JSONArgsRecommended"
    assert (shell.line, shell.end_line) == (5, 5)
    assert "signals" in shell.message
    assert shell.url.startswith("https://docs.docker.com/")
    assert shell.fix == (
        TextEdit(line=5, column=1, end_line=5, end_column=27, text='CMD ["nginx", "-g", "daemon off;"]'),
    )


def test_an_editor_gets_errors_with_places(havre: HavreDaemon) -> None:
    with Client(f"unix://{havre.socket}") as client:
        error = client.lint("FROM a\nEXPOSE 80, 443\n").error
        assert error is not None
        assert error.message.startswith("dockerfile parse error on line 2: invalid containerPort: 80,")
        assert "EXPOSE 80 443" in error.reason
        assert (error.at.line, error.at.column, error.at.length) == (2, 8, 3)
        assert error.at.excerpt == "2 | EXPOSE 80, 443\n  |        ^^^"
        assert (
            client.lint("# check=error=true\nFROM a as b").violation == "lint violation found for rules: FromAsCasing"
        )
        with pytest.raises(InvalidRequest, match="syntax error in pattern"):
            client.lint("FROM a", dockerignore="[")
        with pytest.raises(InvalidRequest, match="platform"):
            client.lint("FROM a", platform="a/b/c/d")


def test_base_images_that_are_here_are_known(havre: HavreDaemon, tmp_path: Path) -> None:
    write_context(tmp_path, 'FROM scratch\nENV GREETING=hello\nSHELL ["/bin/ash", "-c"]\nCOPY a /\n', {"a": ""})
    build(havre, tmp_path, "-t", "greeting")
    with Client(f"unix://{havre.socket}") as client:
        report = client.lint("FROM greeting\nLABEL a=$GREETING b=$GRETING c=$other\nCMD a $b")
    assert [warning.message for warning in report.warnings] == [
        "Usage of undefined variable '$GRETING' (did you mean $GREETING?)",
        "Usage of undefined variable '$other'",
    ]


def test_a_build_shows_where_the_dockerfile_is_wrong(havre: HavreDaemon, tmp_path: Path) -> None:
    write_context(tmp_path, "FROM scratch\nRUNN true\n", {})
    result = build(havre, tmp_path, check=False)
    assert "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)" in result.stderr
    assert "2 | RUNN true\n  | ^^^^\n" in result.stderr
    write_context(tmp_path, "ARG A=${}\nFROM scratch\nENV A=b\n", {})
    assert "1 | ARG A=${}\n  |       ^^^\n" in build(havre, tmp_path, check=False).stderr
    write_context(tmp_path, "FROM scratch AS final\nENV A=b\n", {})
    assert "(did you mean final?)" in build(havre, tmp_path, "--target", "finel", check=False).stderr


def test_another_engine_has_no_checks(dockerd: PeerDaemon) -> None:
    with Client(f"unix://{dockerd.socket}") as client, pytest.raises(NotSupported, match="has no checks"):
        client.lint("FROM a")


def test_a_build_tells_what_the_checks_find(havre: HavreDaemon, tmp_path: Path) -> None:
    write_context(
        tmp_path, "FROM scratch AS left\nCMD x\nFROM scratch\nCOPY a /\nCMD nginx -g 'daemon off;'\n", {"a": ""}
    )
    out = build(havre, tmp_path).stdout.splitlines()
    (warning,) = [line for line in out if line.startswith("[Warning] ")]
    assert warning.startswith("[Warning] JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended")
    assert warning.endswith("(line 5)")
    assert out[-1].startswith("Successfully built ")


def test_warnings_that_are_errors_fail_the_build_before_it_begins(havre: HavreDaemon, tmp_path: Path) -> None:
    write_context(tmp_path, "# check=error=true\nFROM busybox\nRUN touch /a\nCMD x\n", {})
    result = build(havre, tmp_path, check=False)
    assert result.returncode == 1
    assert "lint violation found for rules: JSONArgsRecommended; JSONArgsRecommended: JSON arguments" in result.stderr
    assert "Step 1" not in result.stdout
