"""The shortest way through: what a newcomer types first, on Havre and on dockerd."""

from __future__ import annotations

from tests.fixtures.daemons import Daemon


def test_run_gives_the_exit_code_and_the_output(daemon: Daemon) -> None:
    result = daemon.docker("run", "--rm", "debian", "sh", "-c", "cat /proc/1/comm; exit 3", check=False)
    assert (result.returncode, result.stdout) == (3, "sh\n")


def test_a_shell_on_a_terminal_comes_back_with_its_files(daemon: Daemon) -> None:
    with daemon.docker_terminal("run", "-ti", "--name", "shell", "debian", "bash") as terminal:
        terminal.expect("# ")
        terminal.send("cat /proc/1/comm; touch /made-before\n")
        terminal.expect("\rbash\r")
        terminal.expect("# ")
        terminal.send("exit 3\n")
        assert terminal.wait() == 3
    shown = daemon.docker("ps", "-a", "--format", "{{.ID}} {{.Status}}", "--filter", "name=shell").stdout.strip()
    assert "Exited (3)" in shown
    with daemon.docker_terminal("start", "-ai", shown.split()[0]) as terminal:
        terminal.expect("# ")
        terminal.send("ls /made-before; exit\n")
        terminal.expect("\r/made-before\r")
        assert terminal.wait() == 0
    daemon.docker("rm", "shell")
