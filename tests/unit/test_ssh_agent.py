"""The agent of builds, asked by OpenSSH's own programs."""

from __future__ import annotations

import os
import socket
import stat
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.build.agent import Key, listening
from engine.errors import InvalidParameter

KINDS = {"ed25519": (), "rsa": ("-b", "2048"), "ecdsa": ("-b", "384")}


def generate(place: Path, kind: str, *options: str, passphrase: str = "") -> Path:
    command = ["ssh-keygen", "-q", "-t", kind, *options, "-N", passphrase, "-C", "", "-f", str(place)]
    subprocess.run(command, check=True, capture_output=True)
    return place


def run(agent: Path, *command: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "SSH_AUTH_SOCK": str(agent)}
    return subprocess.run(
        list(map(str, command)), input=stdin, env=environ, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("kind", KINDS)
def test_openssh_signs_by_the_agent(tmp_path: Path, kind: str) -> None:
    file = generate(tmp_path / "key", kind, *KINDS[kind])
    key = Key.parse("deploy", file.read_bytes())
    file.unlink()  # the agent alone has it now
    place = tmp_path / "agent"
    with listening(key, place, mode=0o600, uid=os.getuid(), gid=os.getgid()):
        listed = run(place, "ssh-add", "-l")
        assert listed.stdout.rstrip().endswith(f"deploy ({kind.upper()})"), listed
        data = tmp_path / "data"
        data.write_text("something")
        signed = run(place, "ssh-keygen", "-q", "-Y", "sign", "-n", "test", "-f", f"{file}.pub", data)
        assert signed.returncode == 0, signed.stderr
        verify = ("ssh-keygen", "-Y", "check-novalidate", "-n", "test", "-s", f"{data}.sig")
        assert run(place, *verify, stdin="something").returncode == 0
        assert run(place, *verify, stdin="something else").returncode != 0
        assert run(place, "ssh-add", "-D").returncode != 0, "nobody takes the key away"
    assert not place.exists()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ssh-agent")]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[socket.socket]:
    key = Key.parse("x", generate(tmp_path / "key", "ed25519").read_bytes())
    place = tmp_path / "agent"
    with listening(key, place, mode=0o660, uid=os.getuid(), gid=os.getgid()), socket.socket(socket.AF_UNIX) as found:
        assert stat.S_IMODE(place.stat().st_mode) == 0o660
        found.settimeout(10)
        found.connect(str(place))
        yield found


@pytest.mark.parametrize("message", [b"", b"\x0d", b"\x0d\x00\x00\xff\xff", b"\x0d\x00\x00"])
def test_messages_without_sense_end_the_connection(client: socket.socket, message: bytes) -> None:
    client.sendall(struct.pack("!I", len(message)) + message)
    assert client.recv(1) == b""


def test_messages_have_a_limit(client: socket.socket) -> None:
    client.sendall(struct.pack("!I", 1 << 30))
    assert client.recv(1) == b""


def test_what_is_not_known_is_a_failure(client: socket.socket) -> None:
    for message in (b"\x11" + b"x" * 9, b"\x0d" + b"\0\0\0\1k" + b"\0\0\0\1d" + b"\0\0\0\0"):
        client.sendall(struct.pack("!I", len(message)) + message)
        assert client.recv(5) == b"\0\0\0\1\5"


def test_who_stays_connected_does_not_keep_the_agent(client: socket.socket) -> None:
    """The fixture's end would wait for ever."""
    client.sendall(b"\0")


def test_what_no_key_is(tmp_path: Path) -> None:
    closed = generate(tmp_path / "closed", "ed25519", passphrase="secret")
    with pytest.raises(InvalidParameter, match="the SSH key x has a passphrase"):
        Key.parse("x", closed.read_bytes())
    public = (tmp_path / "closed.pub").read_bytes()
    for data in (b"", b"nonsense-hunter2", public, b"-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n"):
        with pytest.raises(InvalidParameter, match="the SSH key x is no private key of the kinds") as raised:
            Key.parse("x", data)
        assert "hunter2" not in str(raised.value)
