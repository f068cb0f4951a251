"""The suites side by side: every output is shown whole and in order, and no failure hides another."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from tests.fixtures.lanes import Result, run_suites


def program(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def told(path: Path) -> str:
    """Code that waits until another program has made *path*."""
    return f"import pathlib, time\nwhile not pathlib.Path({str(path)!r}).exists(): time.sleep(0.01)\n"


def outcomes(results: list[Result]) -> list[tuple[str, int, str]]:
    return [(result.suite, result.code, result.said) for result in results]


def test_two_at_once_are_shown_one_after_the_other(tmp_path: Path) -> None:
    """The first ends only when the second has written all: they run at once, and the order is kept all the same."""
    mark = tmp_path / "written"
    shown = io.BytesIO()
    results = run_suites(
        {
            "slow": program(f"print('slow begins', flush=True)\n{told(mark)}\nprint('== slow ends ==')"),
            "quick": program(f"print('quick' * 50_000)\nprint('== quick ends ==')\nopen({str(mark)!r}, 'w')"),
        },
        at_once=2,
        show=shown,
        cwd=tmp_path,
        environ=os.environ,
    )
    assert shown.getvalue().decode() == "slow begins\n== slow ends ==\n" + "quick" * 50_000 + "\n== quick ends ==\n"
    assert outcomes(results) == [("slow", 0, "slow ends"), ("quick", 0, "quick ends")]


def test_a_failure_hides_no_other(tmp_path: Path) -> None:
    shown = io.BytesIO()
    suites = {
        "fails": program("import sys\nprint('no', file=sys.stderr)\nsys.exit(3)"),
        "works": program("print('yes')"),
        "dies": program("import os\nos.kill(os.getpid(), 9)"),
    }
    results = run_suites(suites, at_once=2, show=shown, cwd=tmp_path, environ=os.environ)
    assert outcomes(results) == [("fails", 3, "no"), ("works", 0, "yes"), ("dies", -9, "it said nothing")]
    assert shown.getvalue() == b"no\nyes\n"


def test_they_begin_in_their_order(tmp_path: Path) -> None:
    suites = {name: program(f"open('order', 'a').write('{name} ')") for name in ("c", "a", "b")}
    run_suites(suites, at_once=1, show=io.BytesIO(), cwd=tmp_path, environ=os.environ)
    assert (tmp_path / "order").read_text() == "c a b "
