"""Build checks: each with a Dockerfile that it is about and one that it is not, their places and their fixes."""

from __future__ import annotations

import pytest

from engine.build.dockerfile.ignore import IgnoreMatcher
from engine.build.lint.linter import Surroundings, lint
from engine.build.lint.model import BaseImage, Edit, Finding, Report
from engine.build.lint.rules import BY_NAME, RULES
from engine.errors import InvalidParameter
from engine.types import Platform

IMAGES = {
    "known": BaseImage(environment=("PATH=/bin", "LANG=C"), platform=Platform(os="linux", architecture="amd64")),
    "bash": BaseImage(shell=("/bin/bash", "-c")),
    "arm": BaseImage(platform=Platform(os="linux", architecture="arm64", variant="v8")),
}
AMD64 = Platform(os="linux", architecture="amd64")


def checked(text: str, *, ignore: tuple[str, ...] = (), given: dict[str, str] | None = None) -> Report:
    return lint(
        text.encode(),
        Surroundings(
            ignore=IgnoreMatcher(ignore) if ignore else None, given=given or {}, platform=AMD64, image=IMAGES.get
        ),
    )


def edited(text: str, finding: Finding) -> str:
    """*text* after the finding's fix, applied as an editor does it."""
    assert finding.fix is not None
    for edit in sorted(finding.fix.edits, key=lambda edit: (edit.line, edit.column), reverse=True):
        text = (
            text[: _offset(text, edit.line, edit.column)]
            + edit.text
            + text[_offset(text, edit.end_line, edit.end_column) :]
        )
    return text


def _offset(text: str, line: int, column: int) -> int:
    lines = text.split("\n")
    return sum(len(each) + 1 for each in lines[: line - 1]) + column - 1


CASES = [
    ("StageNameCasing", "FROM a AS Base", 1, "Stage name 'Base' should be lowercase", "FROM a AS base"),
    ("FromAsCasing", "FROM a as b", 1, "'as' and 'FROM' keywords' casing do not match", "FROM a AS b"),
    ("FromAsCasing", "from a AS b", 1, "'AS' and 'from' keywords' casing do not match", "from a as b"),
    (
        "NoEmptyContinuation", "FROM a\nRUN b \\\n\n c\\\n\n  d", 3,
        "Empty continuation line", "FROM a\nRUN b \\\n c\\\n  d",
    ),
    ("NoEmptyContinuation", "FROM a\nRUN b\\\n\n", 3, "Empty continuation line", "FROM a\nRUN b\\\n"),
    (
        "NoEmptyContinuation", "FROM a\nRUN <<E \\\n\n  cat\n\nx\nE", 3,
        "Empty continuation line", "FROM a\nRUN <<E \\\n  cat\n\nx\nE",
    ),
    (
        "ConsistentInstructionCasing", "FROM a\nRUN b\n  run c", 3,
        "Command 'run' should match the case of the command majority (uppercase)", "FROM a\nRUN b\n  RUN c",
    ),
    (
        "ConsistentInstructionCasing", "from a\nRun b", 2,
        "Command 'Run' should match the case of the command majority (lowercase)", "from a\nrun b",
    ),
    (
        "DuplicateStageName", "FROM a AS b\nFROM a AS b", 2,
        'Duplicate stage name "b", stage names should be unique', None,
    ),
    (
        "ReservedStageName", "FROM a AS scratch", 1,
        'Stage name should not use the same name as reserved stage "scratch"', None,
    ),
    (
        "JSONArgsRecommended", "FROM a\nCMD nginx -g 'daemon off;'", 2,
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
        'FROM a\nCMD ["nginx", "-g", "daemon off;"]',
    ),
    (
        "JSONArgsRecommended", "FROM a\nENTRYPOINT exec a $b", 2,
        "JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals", None,
    ),
    (
        "MaintainerDeprecated", 'FROM a\nMAINTAINER "me" <a@b>', 2,
        "Maintainer instruction is deprecated in favor of using label",
        'FROM a\nLABEL org.opencontainers.image.authors="\\"me\\" <a@b>"',
    ),
    (
        "UndefinedArgInFrom", "ARG VERSION=1\nFROM a:${VERSON:-2}", 2,
        "FROM argument 'VERSON' is not declared (did you mean VERSION?)", "ARG VERSION=1\nFROM a:${VERSION:-2}",
    ),
    ("UndefinedArgInFrom", "FROM a:${HOSTVERSION:-1}", 1, "FROM argument 'HOSTVERSION' is not declared", None),
    (
        "WorkdirRelativePath", "FROM a\nWORKDIR app", 2,
        'Relative workdir "app" can have unexpected results if the base image changes', None,
    ),
    ("UndefinedVar", "FROM known\nCOPY $foo .", 2, "Usage of undefined variable '$foo'", None),
    (
        "UndefinedVar", "FROM known\nENV PATH=$PAHT:/a", 2, "Usage of undefined variable '$PAHT' (did you mean $PATH?)",
        "FROM known\nENV PATH=$PATH:/a",
    ),
    ("UndefinedVar", "FROM scratch\nARG a=$other", 2, "Usage of undefined variable '$other'", None),
    (
        "UndefinedVar", "FROM unknown\nENV NAME=1\nLABEL a=$NAEM b=$other", 3,
        "Usage of undefined variable '$NAEM' (did you mean $NAME?)", "FROM unknown\nENV NAME=1\nLABEL a=$NAME b=$other",
    ),
    (
        "MultipleInstructionsDisallowed", 'FROM a\nCMD ["b"]\nRUN c\nCMD ["d"]', 2,
        "Multiple CMD instructions should not be used in the same stage because only the last one will be used",
        'FROM a\nRUN c\nCMD ["d"]',
    ),
    (
        "LegacyKeyValueFormat", "FROM a\nENV b c d", 2,
        '"ENV key=value" should be used instead of legacy "ENV key value" format', 'FROM a\nENV b="c d"',
    ),
    (
        "LegacyKeyValueFormat", "FROM a\nLABEL b 'c d'", 2,
        '"LABEL key=value" should be used instead of legacy "LABEL key value" format', "FROM a\nLABEL b='c d'",
    ),
    (
        "InvalidBaseImagePlatform", "FROM arm", 1,
        'Base image arm was pulled with platform "linux/arm64", expected "linux/amd64" for current build', None,
    ),
    (
        "RedundantTargetPlatform", "FROM --platform=$TARGETPLATFORM a", 1,
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior", "FROM a",
    ),
    (
        "SecretsUsedInArgOrEnv", "FROM a\nARG GITHUB_TOKEN", 2,
        'Do not use ARG or ENV instructions for sensitive data (ARG "GITHUB_TOKEN")', None,
    ),
    (
        "SecretsUsedInArgOrEnv", "FROM a\nENV b=1 db_Password=x", 2,
        'Do not use ARG or ENV instructions for sensitive data (ENV "db_Password")', None,
    ),
    (
        "InvalidDefaultArgInFrom", "ARG TAG\nFROM a:$TAG", 2,
        "Default value for ARG a:$TAG results in empty or invalid base image name", None,
    ),
    (
        "FromPlatformFlagConstDisallowed", "FROM --platform=linux/arm64 a", 1,
        'FROM --platform flag should not use constant value "linux/arm64"', None,
    ),
    (
        "ExposeProtoCasing", "FROM a\nEXPOSE 80/TCP", 2,
        "Defined protocol '80/TCP' in EXPOSE instruction should be lowercase", "FROM a\nEXPOSE 80/tcp",
    ),
    (
        "ExposeInvalidFormat", "FROM a\nEXPOSE 127.0.0.1:8080:80", 2,
        "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:8080:80'",
        "FROM a\nEXPOSE 80",
    ),
    (
        "InvalidDefinitionDescription", "# check=experimental=all\n# bad\nFROM a AS b", 3,
        "Comment for FROM should follow the format: `# b <description>`",
        "# check=experimental=all\n# bad\n\nFROM a AS b",
    ),
    (
        "InvalidDefinitionDescription", "# check=experimental=InvalidDefinitionDescription\nFROM a\n# x\nARG b c", 4,
        "Comment for ARG should follow the format: `# <arg_key> <description>`",
        "# check=experimental=InvalidDefinitionDescription\nFROM a\n# x\n\nARG b c",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "line", "message", "fixed"), CASES)
def test_findings(name: str, text: str, line: int, message: str, fixed: str | None) -> None:
    report = checked(text)
    assert report.error is None
    (finding,) = [each for each in report.findings if each.rule.name == name]
    assert (finding.span.start, finding.message) == (line, message)
    assert str(finding) == f"{name}: {message} (line {line})"
    assert "^" in finding.excerpt
    if fixed is None:
        assert finding.fix is None
        return
    assert edited(text, finding) == fixed
    again = checked(fixed)
    assert again.error is None
    assert name not in {each.rule.name for each in again.findings}


def test_every_rule_has_a_case() -> None:
    assert {name for name, *_ in CASES} | {"CopyIgnoredFile"} == set(BY_NAME)
    for rule in RULES:
        assert rule.description
        assert rule.explanation.endswith(".")
    assert BY_NAME["JSONArgsRecommended"].url.endswith("/rule/json-args-recommended/")
    assert BY_NAME["SecretsUsedInArgOrEnv"].url.endswith("/rule/secrets-used-in-arg-or-env/")


@pytest.mark.parametrize(
    "text",
    [
        "FROM a AS b",
        "from a as b\nrun c",
        "ARG V=1\nFROM known:$V",
        "FROM --platform=$BUILDPLATFORM a AS b\nFROM b",
        "FROM --platform=linux/arm64 a AS build-arm64",
        "FROM bash\nCMD a $b",
        'FROM a\nSHELL ["/bin/bash", "-c"]\nCMD a $b\nENTRYPOINT c',
        'FROM a\nCMD ["b"]\nENTRYPOINT ["c"]\nFROM a\nCMD ["d"]',
        "FROM a\nWORKDIR /app\nWORKDIR sub\nWORKDIR sub",
        "FROM a AS b\nWORKDIR /app\nFROM b\nWORKDIR sub",
        "FROM known\nENV a=$LANG:$PATH\nARG b\nLABEL c=$a$b",
        "FROM unknown\nLABEL a=$SOMETHING_OF_THE_BASE_IMAGE",
        "FROM scratch\nENV PATH=$PATH:/a",
        'FROM a\nRUN echo $anything\nCMD ["$anything"]',
        "FROM a AS b\nARG c=1\nFROM b\nLABEL d=$c",
        "FROM a\nARG PUBLIC_KEY\nENV KEY_FILE=/a PASSWORD_VERSION=1 monkey=b",
        "ARG BASE=a\nFROM $BASE",
        "FROM known AS b\nFROM b",
        "# b is a stage\nFROM a AS b\n\n# not about c\n\nARG c\n#\nARG d",
        "FROM a\nEXPOSE 80 443/udp 8000-8010",
        "FROM a\nLABEL a=b \\\n# here\n  c=d",
    ],
)
def test_nothing_to_say(text: str) -> None:
    report = checked("# check=experimental=all\n\n" + text)
    assert report.error is None
    assert [str(finding) for finding in report.findings] == []


@pytest.mark.parametrize(
    ("line", "ignore", "found"),
    [
        ("COPY a/b.txt /x", ("*/b.txt",), ['Attempting to Copy file "a/b.txt" that is excluded by .dockerignore']),
        ("ADD ./a/b /x", ("a",), ['Attempting to Add file "a/b" that is excluded by .dockerignore']),
        ("COPY . /x", ("**",), ['Attempting to Copy file "." that is excluded by .dockerignore']),
        ("COPY . /x", ("a",), []),
        ("COPY a /x", ("a", "!a/b"), []),
        ("COPY --from=b a /x", ("a",), []),
        ("ADD https://a/b https://a/b /x/", ("**/b",), []),
        ("COPY <<a /x\na", ("a",), []),
    ],
)
def test_files_that_are_left_out_of_the_context(line: str, ignore: tuple[str, ...], found: list[str]) -> None:
    report = checked(f"FROM a\n{line}", ignore=ignore)
    assert [finding.message for finding in report.findings if finding.rule.name == "CopyIgnoredFile"] == found


def test_checks_are_skipped_and_made_errors() -> None:
    text = "FROM a as b\nMAINTAINER me\nCMD c"
    assert [finding.rule.name for finding in checked(text).findings] == [
        "FromAsCasing", "MaintainerDeprecated", "JSONArgsRecommended",
    ]  # fmt: skip
    assert [finding.rule.name for finding in checked(f"# check=skip=FromAsCasing, X\n{text}").findings] == [
        "MaintainerDeprecated", "JSONArgsRecommended",
    ]  # fmt: skip
    report = checked(f"# check = skip=FromAsCasing,JSONArgsRecommended;error=true\n{text}")
    assert report.violation == "lint violation found for rules: MaintainerDeprecated"
    assert checked(f"# check=skip=all;error=true\n{text}").violation == ""
    assert checked(text).violation == ""


def test_a_comment_above_one_instruction_skips_there() -> None:
    report = checked("FROM a\n# check=skip=JSONArgsRecommended\nCMD b\n# check=nonsense\nENTRYPOINT c")
    assert [(finding.rule.name, finding.span.start) for finding in report.findings] == [("JSONArgsRecommended", 5)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# check=skip\nFROM a", 'line 1: failed to parse check options: invalid check option "skip"'),
        ("# check=error=perhaps\nFROM a", 'invalid check option "error=perhaps"'),
        ("# check=nothing=1\nFROM a", "invalid check option"),
        ("RUNN a", "line 1: unknown instruction: RUNN"),
        ("FROM a\nCOPY --from=b c d\nFROM e AS b", "line 2: invalid from flag value b: circular dependency"),
        ("FROM a\nRUN --mount=from=0,target=/b c", "line 2: invalid from flag value 0: circular dependency"),
        ("FROM a\nCOPY --from=$b c d", "line 2: variable expansion is not supported for --from"),
        ("FROM a\nENV b=${c", "line 2: syntax error: missing '}'"),
        ("ARG a=1\nARG b=${}\nFROM c", "line 2: syntax error: bad substitution"),
        ("FROM a\n\nFROM $b", r"line 3: base name \(\$b\) should not be blank"),
        ("FROM --platform=a/b/c/d e", "line 1: platform: 'a/b/c/d'"),
        ("ARG a='80, 443'\nFROM b\nARG a\nEXPOSE $a", "line 4: invalid containerPort: 80,"),
        ("FROM a\nARG b=/c\nRUN --mount=type=$b d", 'line 3: unsupported mount type "/c"'),
    ],
)
def test_errors_stand_where_they_are(text: str, message: str) -> None:
    report = checked(text)
    assert report.error is not None
    with pytest.raises(type(report.error), match=message):
        raise report.error


@pytest.mark.parametrize("wrong", ["ENV c=${d", "RUNN c", "RUN --mont=x \\\n  y", "COPY <<c /\nd"])
def test_what_was_found_before_an_error_is_told(wrong: str) -> None:
    """Who types the last line still sees what is to be said of those above."""
    report = checked(f"FROM a as b\nMAINTAINER me\n{wrong}")
    assert [finding.rule.name for finding in report.findings] == ["FromAsCasing", "MaintainerDeprecated"]
    assert report.error is not None
    assert report.error.place.line == 3


@pytest.mark.parametrize(
    ("file", "argument", "rules", "violation"),
    [
        ("skip=all", "skip=FromAsCasing;error=true", ["JSONArgsRecommended"], True),
        ("error=true", "skip=all", [], False),
        ("error=true", "", ["FromAsCasing", "JSONArgsRecommended"], False),
    ],
)
def test_a_build_argument_takes_the_directives_place(
    file: str, argument: str, rules: list[str], violation: bool
) -> None:
    report = checked(f"# check={file}\nFROM a as b\nCMD c", given={"BUILDKIT_DOCKERFILE_CHECK": argument})
    assert [finding.rule.name for finding in report.findings] == rules
    assert bool(report.violation) is violation


def test_a_build_argument_that_asks_for_no_check_is_refused() -> None:
    with pytest.raises(InvalidParameter, match=r'BUILDKIT_DOCKERFILE_CHECK: .* invalid check option "skip"'):
        checked("FROM a", given={"BUILDKIT_DOCKERFILE_CHECK": "skip"})


def test_build_arguments_count() -> None:
    text = "ARG A\nFROM --platform=$A known"
    assert checked(text, given={"A": "linux/arm64"}).findings[0].rule.name == "InvalidBaseImagePlatform"
    assert str(checked(text).error) == "dockerfile parse error on line 2: empty platform value from expression $A"


def test_a_fix_is_edits_of_the_text() -> None:
    (finding,) = checked("FROM a\n\tCMD b  c\n").findings
    assert finding.fix is not None
    assert finding.fix.edits == (Edit(2, 2, 2, 10, 'CMD ["b", "c"]'),)
    assert finding.fix.title == 'Write CMD ["b", "c"]'


COURSE_FIRST = """\
FROM debian
MAINTAINER me
RUN apt update \\
    && apt install -y nginx \\
    && apt clean
COPY index.html /var/www/html
EXPOSE 80, 443
CMD nginx -g 'daemon off;'
"""
COURSE_MYSQL = """\
FROM mysql:latest
ENV MYSQL_DATABASE mydb
COPY ./scripts/ /docker-entrypoint-initdb.d/
"""
COURSE_NGINX = """\
FROM debian
RUN apt update && apt install -y nginx
COPY index.html /var/www/html/
EXPOSE 80
CMD nginx -g 'daemon off;'
"""
COURSE_ALPINE = """\
FROM alpine
RUN apk update && apk add nginx
COPY index.html /var/www/html/
EXPOSE 80
CMD nginx -g 'daemon off;'
"""
COURSE = [
    (COURSE_FIRST.replace("80, 443", "80 443"), [("MaintainerDeprecated", 2), ("JSONArgsRecommended", 8)]),
    (COURSE_MYSQL, [("LegacyKeyValueFormat", 2)]),
    (COURSE_NGINX, [("JSONArgsRecommended", 5)]),
    (COURSE_ALPINE, [("JSONArgsRecommended", 5)]),
]
"""Dockerfiles that courses teach with."""


@pytest.mark.parametrize(("text", "findings"), COURSE)
def test_dockerfiles_of_a_course(text: str, findings: list[tuple[str, int]]) -> None:
    report = checked(text)
    assert report.error is None
    assert [(finding.rule.name, finding.span.start) for finding in report.findings] == findings


def test_ports_with_a_comma_as_courses_write_them() -> None:
    report = checked(COURSE_FIRST)
    assert str(report.error) == (
        "dockerfile parse error on line 7: invalid containerPort: 80,: EXPOSE takes ports with spaces between them, "
        "without commas; write EXPOSE 80 443"
    )
    assert report.error is not None
    assert report.error.excerpt == "7 | EXPOSE 80, 443\n  |        ^^^"
    assert [finding.rule.name for finding in report.findings] == ["MaintainerDeprecated"]
