"""Variables in words, with all their modifiers; which words of which instruction; whose variables they are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.build.dockerfile.errors import Mistake
from engine.build.dockerfile.expansion import Dialect, expand
from engine.build.dockerfile.globs import Glob
from engine.build.dockerfile.model import Arg, Copy, Env, Expose, Label, Run, Transfer, Volume, Workdir
from engine.build.dockerfile.parser import parse, parse_line
from engine.build.dockerfile.scope import GlobalScope, StageScope, predefined
from engine.build.dockerfile.substitution import Substitution
from engine.types import Platform

VARIABLES = {"HOME": "/root", "EMPTY": "", "FILE": "a/b/c.tar.gz", "STAR": "a*b", "TWO": "x  y", "ÉTÉ": "chaud"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("$HOME", "/root"),
        ("${HOME}x", "/rootx"),
        ("$HOMEx", ""),
        ("$HOME.x", "/root.x"),
        ("$", "$"),
        ("a$.b", "a$.b"),
        ("$1x$10y$$z", "xyz"),
        ("$ÉTÉ", "chaud"),
        (r"\$HOME", "$HOME"),
        (r"\\$HOME", r"\/root"),
        (r"a\b", "ab"),
        ("a\\", "a"),
        ("'$HOME\\'", "$HOME\\"),
        ('"$HOME"', "/root"),
        (r'"\$HOME \" \a \\"', r'$HOME " \a \ '.rstrip()),
        ("it\\'s", "it's"),
        ("a\"b\"'c'd", "abcd"),
        ("${NONE}", ""),
        ("${NONE:-a}${NONE-b}${EMPTY:-c}${EMPTY-d}${HOME:-e}", "abc/root"),
        ("${NONE:+a}${NONE+b}${EMPTY:+c}${EMPTY+d}${HOME:+e}", "de"),
        ("${HOME:?x}${EMPTY?x}", "/root"),
        ("${NONE:-${HOME:+$FILE}}", "a/b/c.tar.gz"),
        ("${NONE:-'a }'}", "a }"),
        (r"${NONE:-\}}", "}"),
        ("${FILE#*/} ${FILE##*/}", "b/c.tar.gz c.tar.gz"),
        ("${FILE%.*} ${FILE%%.*}", "a/b/c.tar a/b/c"),
        ("${FILE#b} ${FILE%c}", "a/b/c.tar.gz a/b/c.tar.gz"),
        ("${FILE#?/}", "b/c.tar.gz"),
        (r"${STAR#a\*}", "b"),
        ("${FILE#$NONE}", "a/b/c.tar.gz"),
        (r"${FILE/\//:}", "a:b/c.tar.gz"),
        (r"${FILE//\//:}", "a:b:c.tar.gz"),
        ("${FILE/b*/x}", "a/x"),
        ("${FILE//?/x}", "xxxxxxxxxxxx"),
        ("${FILE/none/x}", "a/b/c.tar.gz"),
        ("${HOME//}/x}", "/root"),
    ],
)
def test_what_a_word_becomes(text: str, result: str) -> None:
    assert expand(text, VARIABLES).text == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("'open", "looking for matching single-quote"),
        ('"open', "looking for matching double-quote"),
        ("${HOME", "missing '}'"),
        ("${", "missing '}'"),
        ("${HOME:-a", "missing '}'"),
        ("${HOME/a}", "missing '/' in"),
        ("${HOME/a/b", "missing '}'"),
        ("${}", "bad substitution"),
        ("${:-a}", "bad substitution"),
        ("${{a}", "bad substitution"),
        ("${HOME=a}", r"unsupported modifier \(=\)"),
        ("${HOME:=a}", r"unsupported modifier \(:=\)"),
        ("${HOME:#a}", r"unsupported modifier \(:#\)"),
        ("${NONE?}", "NONE: is not allowed to be unset"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
        ("${NONE:?give it by --build-arg}", "NONE: give it by --build-arg"),
        (r"${HOME#\a}", "invalid pattern"),
        ("${a:-" * 60 + "}" * 60, "more than 50 deep"),
    ],
)
def test_what_no_word_is(text: str, message: str) -> None:
    with pytest.raises(Mistake, match=message):
        expand(text, VARIABLES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("a 'b c' d\\ e", ["a", "b c", "d e"]),
        ("$TWO", ["x", "y"]),
        ('"$TWO"z', ["x  yz"]),
        ("a$TWO", ["ax", "y"]),
        ("a${NONE:-b c}d", ["ab", "cd"]),
        ("$NONE ''", []),
        (" << a b", ["<< a", "b"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert list(expand(text, VARIABLES).words) == words


def test_dialects() -> None:
    assert expand("a` `$HOME", VARIABLES, Dialect(escape="`")).text == "a $HOME"
    assert expand("'$HOME' \"", VARIABLES, Dialect(quotes=False)).text == "'/root' \""
    kept = Dialect(keep_quotes=True, keep_escapes=True, keep_unset=True)
    assert expand("'a' \"b\" \\c $HOME $N ${N} ${N:-a}", VARIABLES, kept).text == "'a' \"b\" \\c /root $N ${N} ${N:-a}"


def test_names_that_were_asked_for() -> None:
    found = expand("$HOME ${B:-$A} '$C' ${EMPTY+$D}", VARIABLES)
    assert (found.matched, found.unmatched) == ({"HOME", "EMPTY"}, ("A", "B", "D"))


def _regular(pattern: str) -> str:
    """The same pattern for the standard library, which has other ways to be wrong."""
    signs = {"*": ".*", "?": "."}
    return "".join(signs.get(sign, re.escape(sign)) for sign in pattern)


@given(st.text("ab*?", max_size=6), st.text("ab\n", max_size=8))
def test_patterns_take_what_a_regular_expression_takes(pattern: str, text: str) -> None:
    glob = Glob.of_shell(pattern)
    ends = [end for end in range(len(text) + 1) if re.fullmatch(_regular(pattern), text[:end])]
    begins = [start for start in range(len(text) + 1) if re.fullmatch(_regular(pattern), text[start:])]
    assert glob.without_prefix(text, longest=True) == text[max(ends, default=0) :]
    assert glob.without_prefix(text, longest=False) == text[min(ends, default=0) :]
    assert glob.without_suffix(text, longest=True) == text[: min(begins, default=len(text))]
    assert glob.without_suffix(text, longest=False) == text[: max(begins, default=len(text))]
    assert glob.replaced(text, "#", every=False) == re.sub(_regular(pattern), "#", text, count=1)


@given(st.text("ab*?", min_size=1, max_size=6).filter(lambda text: text.strip("*")), st.text("ab\n", max_size=8))
def test_every_match_is_replaced(pattern: str, text: str) -> None:
    assert Glob.of_shell(pattern).replaced(text, "#", every=True) == re.sub(_regular(pattern), "#", text)


def test_a_pattern_with_very_many_ways_to_match_takes_no_longer_for_it() -> None:
    pattern = "*a" * 40 + "*b"
    assert expand(f"${{V##{pattern}}}", {"V": "a" * 5000}).text == "a" * 5000
    assert expand(f"${{V//{pattern}/x}}", {"V": "a" * 5000 + "b"}).text == "x"


@given(st.text(alphabet="ab$ {}:-+?#%/'\"\\<\n`", max_size=40))
def test_any_text_is_a_word_or_a_mistake(text: str) -> None:
    for dialect in (Dialect(), Dialect(escape="`"), Dialect(quotes=False), Dialect(keep_quotes=True, keep_unset=True)):
        try:
            found = expand(text, {"a": "1 2", "b": ""}, dialect)
        except Mistake:
            continue
        assert all(word and word in found.text for word in found.words)


def test_which_words_are_expanded() -> None:
    put = Substitution({"V": "v w", "P": "80 81/udp"})
    env = put.instruction(parse_line("ENV $V=$V b='$V'"))
    assert isinstance(env, Env)
    assert [(pair.key, pair.value) for pair in env.pairs] == [("v w", "v w"), ("b", "$V")]
    label = put.instruction(parse_line("LABEL a=$V"))
    assert isinstance(label, Label)
    assert label.pairs[0].value == "v w"
    copy = put.instruction(parse_line("COPY --chown=$V --chmod=$V --exclude=$V $V $V/"))
    assert isinstance(copy, Copy)
    assert (copy.sources, copy.destination, copy.chown, copy.chmod) == (("v w",), "v w/", "v w", "v w")
    assert copy.exclude == ("$V",)
    expose = put.instruction(parse_line("EXPOSE $P 9"))
    assert isinstance(expose, Expose)
    assert expose.ports == ("80", "81/udp", "9")
    workdir = put.instruction(parse_line("WORKDIR /$V"))
    assert isinstance(workdir, Workdir)
    assert workdir.path == "/v w"
    volume = put.instruction(parse_line('VOLUME ["/$V"]'))
    assert isinstance(volume, Volume)
    assert volume.paths == ("/v w",)
    run = put.instruction(parse_line("RUN --mount=target=/$V echo $V"))
    assert isinstance(run, Run)
    assert run.command.text == "echo $V"
    assert put.mounts(run)[0].target == "/v w"
    assert put.matched == {"V", "P"}


def test_documents_are_expanded_unless_their_name_is_quoted() -> None:
    put = Substitution({"V": "'v'"})
    transfer = put.instruction(parse_line("COPY <<a <<'b' /x/\n\"$V\" \\$V\na\n$V\nb"))
    assert isinstance(transfer, Transfer)
    assert [document.content for document in transfer.contents] == ["\"'v'\" $V\n", "$V\n"]


def scope(text: str, **given_arguments: str) -> GlobalScope:
    linux = Platform(os="linux", architecture="amd64", variant="v2")
    return GlobalScope.of(
        parse(text.encode()),
        platform=predefined(build=linux, target=Platform(os="linux", architecture="arm64"), given=given_arguments),
        given=given_arguments,
    )


def test_arguments_above_the_stages() -> None:
    above = scope("ARG A=1 B=$A-$TARGETARCH\nARG C\nFROM a:$B", A="2", HTTP_PROXY="p", X="y")
    assert above.image(parse(b"FROM a:$B").stages[0].base) == "a:2-arm64"
    assert above.values["BUILDPLATFORM"] == "linux/amd64/v2"
    assert "C" in above.declared
    assert "C" not in above.values
    assert above.proxies == {"HTTP_PROXY": "p"}
    with pytest.raises(Mistake, match=r"base name \(\$C\) should not be blank"):
        above.image(parse(b"FROM $C").stages[0].base)
    with pytest.raises(Mistake, match="empty platform value"):
        above.platform(parse(b"FROM --platform=$C a").stages[0].base)


def test_the_variables_of_a_stage() -> None:
    stage = StageScope(scope("ARG G=g\nFROM a", GIVEN="2"), ["PATH=/bin", "E=env"])
    assert dict(stage.variables) == {"PATH": "/bin", "E": "env"}
    for line in ("ARG G", "ARG GIVEN=1", "ARG D=$G$GIVEN", "ARG E=arg", "ARG NONE", "ARG TARGETARCH"):
        argument = parse_line(line)
        assert isinstance(argument, Arg)
        stage.declare(argument)
    assert (stage.variables["G"], stage.variables["GIVEN"], stage.variables["D"]) == ("g", "2", "g2")
    assert (stage.variables["E"], stage.arguments["E"], stage.variables["TARGETARCH"]) == ("env", "arg", "arm64")
    assert "NONE" not in stage.variables
    below = stage.child()
    env = below.substitution().instruction(parse_line("ENV D=$D$D"))
    assert isinstance(env, Env)
    below.set_environment(env)
    assert (below.variables["D"], stage.variables["D"]) == ("g2g2", "g2")
    assert list(below.declared) == ["G", "GIVEN", "D", "E", "NONE", "TARGETARCH"]


def lines_of(stage: StageScope, *lines: str) -> None:
    for line in lines:
        env = stage.substitution().instruction(parse_line(line))
        assert isinstance(env, Env)
        stage.set_environment(env)


@pytest.mark.parametrize("line", ["ENV A=$A$A$A$A", "ENV A=${A//x/$A}", "ENV B=${A%%*y}", "ENV B=${A/y/}"])
def test_a_build_substitutes_so_much_and_no_more(line: str) -> None:
    stage = StageScope(scope("FROM a"), ["A=xxxxxxxxxx"])
    lines_of(stage, *["ENV A=$A$A"] * 10)
    with pytest.raises(Mistake, match="more than 16777216 characters in all"):
        lines_of(stage, *[line] * 2000)
    # What another stage of the same build substitutes counts as well, that of another build does not.
    with pytest.raises(Mistake, match="in all"):
        lines_of(stage.child(), *["ENV C=$A"] * 2000)
    lines_of(StageScope(scope("FROM a"), ["A=x"]), "ENV A=$A")


def test_what_an_argument_becomes_above_the_stages_is_counted() -> None:
    with pytest.raises(Mistake, match="in all"):
        scope("ARG A=xxxxxxxxxx\n" + "ARG A=$A$A$A$A\n" * 20 + "FROM a")
