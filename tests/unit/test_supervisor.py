"""How the supervisor tells of a process that ends before it is ready."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from bringup.console import Failure
from bringup.supervisor import Running, Service, supervise


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os; os.kill(os.getpid(), 11)", "web was ended by SIGSEGV before it was ready. It said nothing."),
        ("raise SystemExit(3)", "web ended with exit code 3 before it was ready. It said nothing."),
        ("raise SystemExit('no')", "web ended with exit code 1 before it was ready. Its last lines:\n    no"),
    ],
)
async def test_a_process_that_ends_too_early(tmp_path: Path, code: str, told: str) -> None:
    command = (sys.executable, "-c", code)
    running = Running(Service("web", command, cwd=tmp_path, environ=os.environ, ready=lambda _: False))
    with pytest.raises(Failure) as failure:
        await running.wait_ready()
    await running.stop()
    assert str(failure.value) == told


async def test_what_waits_and_what_does_not(tmp_path: Path) -> None:
    """The page begins to load beside the engine; the worker only when both are ready. They end in reverse."""
    told = tmp_path / "told"

    def begun(*names: str) -> bool:
        return told.exists() and all(f"{name} begins" in told.read_text() for name in names)

    def service(name: str, *, ready_after: Sequence[str] = (), waits: bool = True) -> Service:
        code = (
            "import pathlib, signal, sys\n"
            "def tell(what): told.open('a').write(f'{sys.argv[1]} {what}\\n')\n"
            "told = pathlib.Path(sys.argv[2])\n"
            "signal.signal(signal.SIGTERM, lambda *_: (tell('ends'), sys.exit()))\n"
            "tell('begins')\n"
            "while True: signal.pause()\n"
        )
        return Service(
            name,
            (sys.executable, "-c", code, name, told),
            cwd=tmp_path,
            environ=os.environ,
            ready=lambda _: begun(name, *ready_after),
            waits=waits,
        )

    def announce() -> None:
        with told.open("a") as file:
            file.write("announced\n")

    stages = [
        [service("engine", ready_after=["web"])],
        [service("web", waits=False)],
        [service("worker")],
    ]
    running = asyncio.ensure_future(supervise(stages, prepare={2: announce}))
    while not begun("worker"):
        assert not running.done()
        await asyncio.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    first, *rest = [set(told.read_text().splitlines()[:2]), *told.read_text().splitlines()[2:]]
    assert first == {"engine begins", "web begins"}
    assert rest == ["announced", "worker begins", "worker ends", "web ends", "engine ends"]


async def test_lines_that_are_hidden(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = Service(
        "web",
        (sys.executable, "-c", "print('seen'); print('the secret'); raise SystemExit(1)"),
        cwd=tmp_path,
        environ=os.environ,
        ready=lambda _: False,
        hides=lambda line: "secret" in line,
    )
    running = Running(service)
    with pytest.raises(Failure, match="Its last lines:\n    seen\n    the secret"):
        await running.wait_ready()
    await running.stop()
    assert "seen" in (shown := capsys.readouterr().out)
    assert "secret" not in shown
