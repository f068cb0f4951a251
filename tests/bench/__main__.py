"""Measure Havre against dockerd: `python -m tests.bench [--only TEXT] [--rounds N] [--footprint] [--readme]`, as root.

Both engines run at once, each in a network namespace of its own with its state on tmpfs, and take turns: every round
measures both, in alternating order, with the same docker CLI (whose own start, about 30 ms, is in every figure).
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.footprint import footprint
from tests.bench.works import WORKS, Work
from tests.conftest import running
from tests.fixtures.daemons import PROJECT, Daemon, HavreDaemon, PeerDaemon
from tests.fixtures.registry import image_storage


@dataclass(frozen=True)
class Result:
    """Medians in seconds, and the median of the rounds' ratios."""

    work: Work
    havre: float
    dockerd: float
    ratio: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="measure only works whose name holds this text")
    parser.add_argument("--rounds", type=int, help="rounds of each work, instead of its own number")
    parser.add_argument("--footprint", action="store_true", help="measure memory and growth as well (three minutes)")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    options = parser.parse_args()
    if os.geteuid() != 0 or not PeerDaemon.installed():
        print("this needs root and dockerd (Debian's docker.io)", file=sys.stderr)
        return 1
    images = image_storage()
    results: list[Result] = []
    with ExitStack() as stack:
        havre = stack.enter_context(running(HavreDaemon, images))
        dockerd = stack.enter_context(running(PeerDaemon, images))
        for daemon in (havre, dockerd):
            daemon.docker("pull", "-q", "busybox")
        for work in WORKS:
            if options.only in work.name:
                results.append(compare(work, havre, dockerd, rounds=options.rounds or work.rounds))
                print(line(results[-1]), file=sys.stderr)
        table = render(results, version=version_of(dockerd))
        if options.footprint:
            for daemon in (havre, dockerd):
                daemon.remove_everything()
            table = "\n".join([table, "", *footprint(havre, dockerd)])
    print(table)
    if options.readme:
        put_into_readme(PROJECT / "README.md", table)
    return 0


def compare(work: Work, havre: Daemon, dockerd: Daemon, *, rounds: int) -> Result:
    """Pairs of measurements after one round that does not count."""
    for daemon in (havre, dockerd):
        work.set_up(daemon)
        work.measure(daemon)
    pairs: list[tuple[float, float]] = []
    for number in range(rounds):
        order = (havre, dockerd) if number % 2 else (dockerd, havre)
        seconds = {daemon.kind: work.measure(daemon) for daemon in order}
        pairs.append((seconds["havre"], seconds["dockerd"]))
    return Result(
        work=work,
        havre=statistics.median(ours for ours, _ in pairs),
        dockerd=statistics.median(theirs for _, theirs in pairs),
        ratio=statistics.median(ours / theirs for ours, theirs in pairs),
    )


def render(results: list[Result], *, version: str) -> str:
    """The table as Markdown."""
    cores, kernel = os.cpu_count(), os.uname().release
    head = ["| work | Havre | dockerd | ratio | goal |", "|---|--:|--:|--:|--:|"]
    foot = f"Medians; dockerd {version}, {cores} cores, Linux {kernel}."
    return "\n".join([*head, *map(line, results), "", foot])


def line(result: Result) -> str:
    budget = "" if result.work.budget is None else f"{result.work.budget:.2f}"
    cells = (result.work.name, _time(result.havre), _time(result.dockerd), f"{result.ratio:.2f}", budget)
    return f"| {' | '.join(cells)} |"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def version_of(daemon: Daemon) -> str:
    return daemon.docker("version", "--format", "{{.Server.Version}}").stdout.strip()


def put_into_readme(readme: Path, table: str) -> None:
    """Replace what stands between the markers."""
    text = readme.read_text()
    marked = re.compile(r"(<!-- bench:begin -->\n).*?(<!-- bench:end -->)", re.DOTALL)
    readme.write_text(marked.sub(lambda match: f"{match[1]}\n{table}\n\n{match[2]}", text))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.TimeoutExpired as error:
        sys.exit(f"an engine did not answer: {error}")
