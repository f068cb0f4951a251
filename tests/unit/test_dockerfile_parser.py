"""Dockerfiles into dataclasses: lines, forms, flags, here-documents, and the words of what is wrong."""

from __future__ import annotations

from typing import TypeVar

import pytest

from engine.build.dockerfile.errors import DockerfileError
from engine.build.dockerfile.model import (
    Add,
    Arg,
    Argument,
    Cmd,
    CommandLine,
    Copy,
    Dockerfile,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Pair,
    Run,
    Shell,
    Span,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from engine.build.dockerfile.parser import parse, parse_line

Kind = TypeVar("Kind", bound=Instruction)


def parsed(text: str) -> Dockerfile:
    return parse(text.encode())


def only(text: str, kind: type[Kind]) -> Kind:
    """The one instruction *text*, below a FROM."""
    (instruction,) = parsed(f"FROM scratch\n{text}").stages[0].instructions
    assert isinstance(instruction, kind)
    return instruction


def shell(text: str) -> CommandLine:
    return CommandLine((text,), shell_form=True)


def execute(*words: str) -> CommandLine:
    return CommandLine(words, shell_form=False)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("RUN echo hi", shell("echo hi")),
        ("run  echo   hi  ", shell("echo   hi")),
        ('RUN ["echo", "hi"]', execute("echo", "hi")),
        ('RUN   [ "echo" ,"a b" ]', execute("echo", "a b")),
        ("RUN []", execute()),
        ("RUN", CommandLine((), shell_form=True)),
        ("RUN ['echo', 'hi']", shell("['echo', 'hi']")),
        ('RUN ["echo"', shell('["echo"')),
        ('RUN ["echo] x', shell('["echo] x')),
        ('RUN "[\\"echo\\"]"', shell('"[\\"echo\\"]"')),
        (r'RUN ["\u00e9\n\ud800"]', execute("é\n\ufffd")),
        ("RUN echo a \\\n  b", shell("echo a   b")),
        ("RUN echo a \\\n# no\n  # nor this\n  b", shell("echo a   b")),
        ("RUN echo a \\ \t\n  b", shell("echo a   b")),
        ("RUN echo a \\\n\n\n  b", shell("echo a   b")),
        ("RUN echo a\\\nb", shell("echo ab")),
        ("RUN echo a \\\\\nRUN b", None),
        ("RUN echo # no comment", shell("echo # no comment")),
        ("RUN echo a\\", shell("echo a")),
        ("RUN echo a\r", shell("echo a")),
        ("RUN echo \\\r\n a\r\n", shell("echo  a")),
        ("RUN\techo", shell("echo")),
        ("R\\\nUN echo", shell("echo")),
        ("RUN --network=none -- --odd", shell("--odd")),
    ],
)
def test_commands(text: str, command: CommandLine | None) -> None:
    if command is None:
        assert len(parsed(f"FROM scratch\n{text}").stages[0].instructions) == 2
    else:
        assert only(text, Run).command == command


def test_every_instruction() -> None:
    assert only("CMD nginx -g 'daemon off;'", Cmd).command == shell("nginx -g 'daemon off;'")
    assert only('ENTRYPOINT ["a"]', Entrypoint).command == execute("a")
    assert only('SHELL ["/bin/bash", "-c"]', Shell).words == ("/bin/bash", "-c")
    assert only("USER  www:33", User).user == "www:33"
    assert only("WORKDIR /a b", Workdir).path == "/a b"
    assert only("STOPSIGNAL SIGINT", StopSignal).signal == "SIGINT"
    assert only("MAINTAINER me <me@x>", Maintainer).author == "me <me@x>"
    assert only("VOLUME /a /b", Volume).paths == ("/a", "/b")
    assert only('VOLUME ["/a b"]', Volume).paths == ("/a b",)
    assert only("EXPOSE 80 90/udp $P", Expose).ports == ("80", "90/udp", "$P")


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("ENV a=b", [("a", "b", False)]),
        ("ENV a=b c='d e' f=\"g h\"", [("a", "b", False), ("c", "'d e'", False), ("f", '"g h"', False)]),
        ("ENV a=b\\ c d=", [("a", "b\\ c", False), ("d", "", False)]),
        ("ENV MYSQL_DATABASE mydb", [("MYSQL_DATABASE", "mydb", True)]),
        ("ENV a b=c 'd  e'", [("a", "b=c 'd  e'", True)]),
        ("ENV a=\\\n  b", [("a", "", False), ("b", "", False)]),
        ("ENV a=b=c", [("a", "b=c", False)]),
    ],
)
def test_pairs(text: str, pairs: list[tuple[str, str, bool]]) -> None:
    if text.endswith("\\\n  b"):
        with pytest.raises(DockerfileError, match='can\'t find = in "b"'):
            only(text, Env)
        return
    assert only(text, Env).pairs == tuple(Pair(*pair) for pair in pairs)
    assert only(text.replace("ENV", "label", 1), Label).pairs == tuple(Pair(*pair) for pair in pairs)


def test_arguments_have_descriptions_from_the_comments_above() -> None:
    arg = only("# a the first\n# nothing\n# b \nARG a=1 b c= d='x y'", Arg)
    assert arg.arguments == (
        Argument("a", "1", "the first"),
        Argument("b"),
        Argument("c", ""),
        Argument("d", "'x y'"),
    )


def test_copy_and_add() -> None:
    copy = only("COPY --from=base --chown=1:2 --chmod=755 --link --exclude=a --exclude=b --parents x y /z/", Copy)
    assert (copy.from_, copy.chown, copy.chmod, copy.link, copy.exclude, copy.parents) == (
        "base", "1:2", "755", True, ("a", "b"), True,
    )  # fmt: skip
    assert (copy.sources, copy.destination) == (("x", "y"), "/z/")
    assert only('COPY ["a b", "c d/"]', Copy).sources == ("a b",)
    assert only("COPY --link=false a /b", Copy).link is False
    add = only("ADD --checksum=sha256:1 --keep-git-dir --unpack=false http://x/y.tgz /z", Add)
    assert (add.checksum, add.keep_git_dir, add.unpack) == ("sha256:1", True, False)
    assert only("ADD a /b", Add).unpack is None


def test_healthcheck() -> None:
    check = only(
        "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2s --start-interval=1s --retries=5 CMD a | b",
        Healthcheck,
    )
    assert check.test == ("CMD-SHELL", "a | b")
    assert (check.interval, check.timeout) == (90_000_000_000, 500_000_000)
    assert (check.start_period, check.start_interval, check.retries) == (2_000_000_000, 1_000_000_000, 5)
    assert only('HEALTHCHECK cmd ["a"]', Healthcheck).test == ("CMD", "a")
    assert only("HEALTHCHECK NONE", Healthcheck).test == ("NONE",)


def test_onbuild_keeps_the_instruction_and_its_documents() -> None:
    trigger = only("onbuild  COPY --from=x <<EOF /a\nhello\nEOF", Onbuild)
    assert trigger.expression == "COPY --from=x <<EOF /a\nhello\nEOF"
    assert isinstance(trigger.trigger, Copy)
    again = parse_line(trigger.expression)
    assert isinstance(again, Copy)
    assert again.contents[0].content == "hello\n"


def test_stages_arguments_and_lines() -> None:
    dockerfile = parsed(
        "# syntax=docker/dockerfile:1 and more\n# check=skip=all\n\nARG V=1\n"
        "FROM --platform=$BUILDPLATFORM a:$V as Base\n"
        "RUN a \\\n  b\nFROM Base\n  # x\n  RUN <<EOF\n1\n2\nEOF\nCMD c\n"
    )
    assert dockerfile.directives.syntax == "docker/dockerfile:1"
    assert (dockerfile.directives.check, dockerfile.directives.check_line) == ("skip=all", 2)
    assert dockerfile.arguments[0].arguments == (Argument("V", "1"),)
    first, second = dockerfile.stages
    assert (first.name, first.base.written_stage, first.base.as_keyword) == ("base", "Base", "as")
    assert (first.base.platform, first.base.image, first.title, second.title) == (
        "$BUILDPLATFORM", "a:$V", "base", "stage-1",
    )  # fmt: skip
    spans = [instruction.span for stage in dockerfile.stages for instruction in stage.instructions]
    assert spans == [Span(6, 7), Span(10, 13), Span(14, 14)]


def test_the_escape_directive() -> None:
    dockerfile = parsed("# escape=`\nFROM a\nRUN dir c:\\ `\n x\nENV a=b` c\nRUN <<E\n1`\nE\n")
    run, env, document = dockerfile.stages[0].instructions
    assert isinstance(run, Run)
    assert run.command == shell("dir c:\\  x")
    assert isinstance(env, Env)
    assert env.pairs == (Pair("a", "b` c"),)
    assert document.heredocs[0].content == "1`\n"


@pytest.mark.parametrize(
    ("text", "escape"),
    [
        ("#escape=`\nFROM a", "`"),
        ("# Escape = `\r\nFROM a", "`"),
        ("# syntax=x\n# escape=`\nFROM a", "`"),
        ("#!/usr/bin/x\n# escape=`\nFROM a", "`"),
        ("\ufeff# escape=`\nFROM a", "`"),
        ("# a comment\n# escape=`\nFROM a", "\\"),
        ("\n# escape=`\nFROM a", "\\"),
        ("# unknown=1\n# escape=`\nFROM a", "\\"),
        ("FROM a\n# escape=`", "\\"),
    ],
)
def test_where_directives_are_directives(text: str, escape: str) -> None:
    assert parsed(text).directives.escape == escape


def test_empty_lines_within_an_instruction_are_remembered() -> None:
    assert parsed("FROM a\nRUN b \\\n\n  c\nRUN d \\\n# e\n f").empty_continuations == (Span(2, 4),)


@pytest.mark.parametrize(
    ("line", "documents"),
    [
        ("RUN <<EOF\na\n\tb\nEOF", [("EOF", "a\n\tb\n", True, False)]),
        ("RUN <<-EOF\n\ta\n\t\tb\n\tEOF", [("EOF", "\ta\n\t\tb\n", True, True)]),
        ("RUN <<'EOF'\n$a\nEOF", [("EOF", "$a\n", False, False)]),
        ('RUN <<"E"OF\n$a\nEOF', [("EOF", "$a\n", False, False)]),
        ("RUN << EOF\na\nEOF", [("EOF", "a\n", True, False)]),
        ("RUN 3<<EOF cat\nEOF", [("EOF", "", True, False)]),
        ("COPY <<a <<b /c/\n1\na\n2\nb", [("a", "1\n", True, False), ("b", "2\n", True, False)]),
        ("ADD <<a.txt b /c/\r\n1\r\na.txt\r\n", [("a.txt", "1\r\n", True, False)]),
        ("RUN cat <<EOF \\\n  | sort\n# a\n\\\nEOF", [("EOF", "# a\n\\\n", True, False)]),
        ("RUN cat <<< here", []),
        ('RUN ["cat", "<<EOF"]', []),
        ("RUN echo it's <<EOF", []),
        ('RUN echo "<<EOF"', []),
        ("RUN echo $(( 1 <<2 ))\n2", [("2", "", True, False)]),
        ("CMD cat <<EOF", []),
        ("RUN a=${b:-<<c} d", []),
    ],
)
def test_heredocs(line: str, documents: list[tuple[str, str, bool, bool]]) -> None:
    found = only(line, Instruction).heredocs
    assert [(each.name, each.content, each.expand, each.chomp) for each in found] == documents


def test_tabs_are_taken_from_a_chomped_document_only() -> None:
    assert only("COPY <<-a /b\n\t\t1\n\t 2\x0c\t3\n\ta", Copy).contents[0].text == "1\n 2\x0c\t3\n"
    assert only("COPY <<a /b\n\t1\na", Copy).contents[0].text == "\t1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the Dockerfile cannot be empty"),
        (" \n\n", "line 1: the Dockerfile cannot be empty"),
        ("# only\n# comments", "line 1: file with no instructions"),
        ("ARG a=1", "line 1: dockerfile contains no stages to build"),
        ("RUN a\nFROM b", "line 1: no build stage in current context"),
        ("FROM a\n\nRUNN b", r"line 3: unknown instruction: RUNN \(did you mean RUN\?\)"),
        ("FROM a\nruun b", r"unknown instruction: ruun \(did you mean run\?\)"),
        ("FROM a\nNOTHING b", "unknown instruction: NOTHING$"),
        ("FROM", "FROM requires either one or three arguments"),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM a AS", "FROM requires either one or three arguments"),
        ("FROM a AS 1b", 'invalid name for build stage: "1b"'),
        ("FROM a AS b c", "FROM requires either one or three arguments"),
        ("FROM --platfrom=x a", r"unknown flag: --platfrom \(did you mean platform\?\)"),
        ("FROM a\nCOPY --chwon=1 a b", r"unknown flag: --chwon \(did you mean chown\?\)"),
        ("FROM a\nCOPY --from=a --from=b c d", "duplicate flag specified: --from"),
        ("FROM a\nCOPY --from a b", "missing a value on flag: --from"),
        ("FROM a\nCOPY --link= a b", "missing a value on flag: --link"),
        ("FROM a\nCOPY --link=x a b", "expecting boolean value for flag --link, not: x"),
        ("FROM a\nCOPY --unpack a b", "unknown flag: --unpack"),
        ("FROM a\nCOPY b", "COPY requires at least two arguments, but only one was provided"),
        ("FROM a\nCOPY b <<c\nc", "COPY cannot accept a heredoc as a destination"),
        ("FROM a\nADD", "ADD requires at least two arguments"),
        ("FROM a\nENV", "ENV requires at least one argument"),
        ("FROM a\nENV b", "ENV must have two arguments"),
        ("FROM a\nENV b=1 c", 'can\'t find = in "c"'),
        ("FROM a\nENV =b", "ENV names can not be blank"),
        ("FROM a\nLABEL b", "LABEL must have two arguments"),
        ("FROM a\nARG", "ARG requires at least one argument"),
        ("FROM a\nARG =b", "ARG names can not be blank"),
        ("FROM a\nRUN [1]", "arrays must be comprised of strings only"),
        ('FROM a\nCMD ["a", ["b"]]', "arrays must be comprised of strings only"),
        ("FROM a\nRUN --security=insecure b", "RUN --security is not allowed"),
        ("FROM a\nRUN --network=bridge b", 'invalid network mode "bridge"'),
        ("FROM a\nRUN --mount=type=cash b", r'unsupported mount type "cash" \(did you mean cache\?\)'),
        ("FROM a\nRUN <<EOF\nb", "line 2: unterminated heredoc"),
        ("FROM a\nSHELL /bin/sh", "SHELL requires the arguments to be in JSON form"),
        ("FROM a\nSHELL []", "SHELL requires at least one argument"),
        ("FROM a\nUSER", "USER requires exactly one argument"),
        ("FROM a\nVOLUME", "VOLUME requires at least one argument"),
        ('FROM a\nVOLUME [""]', "VOLUME specified can not be an empty string"),
        ("FROM a\nEXPOSE", "EXPOSE requires at least one argument"),
        ("FROM a\nEXPOSE 80, 443", "without commas; write EXPOSE 80 443$"),
        ("FROM a\nEXPOSE 80,443/udp", "write EXPOSE 80 443/udp$"),
        ("FROM a\nEXPOSE 80/http", "invalid proto: http"),
        ("FROM a\nEXPOSE 70000", "invalid containerPort: 70000"),
        ("FROM a\nEXPOSE 9-8", "the range ends before it begins"),
        ("FROM a\nHEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("FROM a\nHEALTHCHECK SOMETIMES", r'Unknown type "SOMETIMES" in HEALTHCHECK \(try CMD\)'),
        ("FROM a\nHEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("FROM a\nHEALTHCHECK NONE b", "HEALTHCHECK NONE takes no arguments"),
        ("FROM a\nHEALTHCHECK --interval=1us CMD b", "cannot be less than 1ms"),
        ("FROM a\nHEALTHCHECK --interval=soon CMD b", 'invalid duration "soon"'),
        ("FROM a\nHEALTHCHECK --retries=-1 CMD b", "--retries cannot be negative"),
        ("FROM a\nONBUILD", "ONBUILD requires at least one argument"),
        ("FROM a\nONBUILD ONBUILD RUN b", "Chaining ONBUILD"),
        ("FROM a\nONBUILD FROM b", "FROM isn't allowed as an ONBUILD trigger"),
        ("FROM a\nONBUILD RUNN b", r"unknown instruction: RUNN \(did you mean RUN\?\)"),
        ("# escape=x\nFROM a", "line 1: invalid escape token 'x'"),
        ("# escape=`\n# escape=`\nFROM a", "line 2: only one escape parser directive can be used"),
        ("FROM a\nLABEL b=" + "c" * 70_000, "line 2: dockerfile line greater than max allowed size of 65535"),
    ],
)
def test_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message) as caught:
        parsed(text)
    assert str(caught.value).startswith("dockerfile parse error on line ")


def test_carets_stand_below_what_is_meant() -> None:
    with pytest.raises(DockerfileError) as caught:
        parsed("FROM a\nCOPY \\\n  --from=b \\\n\t--chwon=1 c d\n")
    assert caught.value.excerpt == "4 |  --chwon=1 c d\n  |  ^^^^^^^"
    assert (caught.value.place.line, caught.value.place.end_line) == (4, 4)
