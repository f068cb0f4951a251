"""An SSH agent for `RUN --mount=type=ssh`: commands sign with the build's key and never read it.

It speaks as much of the agent's protocol (draft-ietf-sshm-ssh-agent) as `ssh` and `ssh-add -l` ask for: keys are
listed, and one of them signs. Everything else is answered with a failure. Keys are in memory alone.
"""

from __future__ import annotations

import base64
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from engine.errors import InvalidParameter

HEADER: Final = "X-Havre-SSH"
USUAL: Final = "default"
"""The name of the key where a mount names none."""
_MOST_CLIENTS: Final = 32
_LONGEST: Final = 256 * 1024
"""Bytes of a message, as in OpenSSH."""
_FAILURE: Final = bytes([5])
_LIST, _LISTED, _SIGN, _SIGNED = 11, 12, 13, 14
_SHA256, _SHA512 = 2, 4
"""Flags of a request to sign with an RSA key."""
_RSA: Final[dict[int, tuple[bytes, hashes.HashAlgorithm]]] = {
    0: (b"ssh-rsa", hashes.SHA1()),  # noqa: S303 - what old servers ask for
    _SHA256: (b"rsa-sha2-256", hashes.SHA256()),
    _SHA512: (b"rsa-sha2-512", hashes.SHA512()),
}
_Key = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_CURVES: Final[dict[str, tuple[bytes, hashes.HashAlgorithm]]] = {
    "secp256r1": (b"ecdsa-sha2-nistp256", hashes.SHA256()),
    "secp384r1": (b"ecdsa-sha2-nistp384", hashes.SHA384()),
    "secp521r1": (b"ecdsa-sha2-nistp521", hashes.SHA512()),
}


@dataclass(frozen=True, slots=True)
class Key:
    """A private key, by the name that a Dockerfile knows it by."""

    name: str
    private: _Key

    @classmethod
    def parse(cls, name: str, data: bytes) -> Key:
        """The key in *data*, as ssh-keygen or openssl write it; `InvalidParameter`, without its text, for others."""
        load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key
        try:
            private = load(data, None)
        except TypeError as error:
            raise InvalidParameter(
                f"the SSH key {name} has a passphrase: give a copy without one (ssh-keygen -p)"
            ) from error
        except (ValueError, UnsupportedAlgorithm):
            private = None
        if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name not in _CURVES:
            private = None
        if not isinstance(private, _Key):
            raise InvalidParameter(f"the SSH key {name} is no private key of the kinds ed25519, ecdsa or rsa")
        return cls(name, private)

    @property
    def public(self) -> bytes:
        """The public key as SSH sends it."""
        text = self.private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return base64.b64decode(text.split(b" ")[1])

    def sign(self, data: bytes, flags: int) -> bytes:
        """A signature of *data* as SSH sends it (RFC 4253, 6.6; RFC 8332; RFC 5656, 3.1.2; RFC 8709, 6)."""
        private = self.private
        if isinstance(private, ed25519.Ed25519PrivateKey):
            return _text(b"ssh-ed25519") + _text(private.sign(data))
        if isinstance(private, ec.EllipticCurvePrivateKey):
            name, digest = _CURVES[private.curve.name]
            pair = utils.decode_dss_signature(private.sign(data, ec.ECDSA(digest)))
            return _text(name) + _text(b"".join(_text(_number(each)) for each in pair))
        name, digest = _RSA[flags & (_SHA512 if flags & _SHA512 else _SHA256)]
        return _text(name) + _text(private.sign(data, padding.PKCS1v15(), digest))


@contextmanager
def listening(key: Key, place: Path, *, mode: int, uid: int, gid: int) -> Iterator[None]:
    """The agent of *key* on the socket *place* while the block runs; nothing of it is left afterwards."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        directory = os.open(place.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # A socket's path has at most 107 characters.
            listener.bind(f"/proc/self/fd/{directory}/{place.name}")
        finally:
            os.close(directory)
        stack.callback(place.unlink)
        os.chown(place, uid, gid)
        place.chmod(mode)
        listener.listen(_MOST_CLIENTS)
        agent = _Agent(listener, key)
        thread = threading.Thread(target=agent.run, name="ssh-agent")
        thread.start()
        try:
            yield
        finally:
            agent.stop()
            thread.join()


class _Agent:
    """Answers the clients of one socket, each on a thread of its own."""

    def __init__(self, listener: socket.socket, key: Key) -> None:
        self._listener = listener
        self._key = key
        self._lock = threading.Lock()
        self._clients: dict[socket.socket, threading.Thread] = {}

    def run(self) -> None:
        """Until `stop`; no client is left then."""
        with suppress(OSError):  # the listener was shut down
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,), name="ssh-agent-client")
                with self._lock:
                    full = len(self._clients) >= _MOST_CLIENTS
                    if not full:
                        self._clients[client] = thread
                if full:
                    client.close()
                else:
                    thread.start()
        with self._lock:
            left = dict(self._clients)
        for client, thread in left.items():
            with suppress(OSError):  # it has gone by itself
                client.shutdown(socket.SHUT_RDWR)
            thread.join()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, client.makefile("rb") as file, suppress(OSError, _Senseless):
                while head := file.read(4):
                    client.sendall(_text(self._answer(_Message(file.read(_length(head))))))
        finally:
            with self._lock:
                del self._clients[client]

    def _answer(self, message: _Message) -> bytes:
        kind = message.byte()
        if kind == _LIST:
            return bytes([_LISTED]) + struct.pack("!I", 1) + _text(self._key.public) + _text(self._key.name.encode())
        if kind == _SIGN:
            public, data, flags = message.text(), message.text(), message.number()
            if public == self._key.public:
                return bytes([_SIGNED]) + _text(self._key.sign(data, flags))
        return _FAILURE


class _Senseless(Exception):
    """A message that ends too early, or is too long: the connection ends."""


class _Message:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def byte(self) -> int:
        return self._take(1)[0]

    def number(self) -> int:
        found: int = struct.unpack("!I", self._take(4))[0]
        return found

    def text(self) -> bytes:
        return self._take(self.number())

    def _take(self, size: int) -> bytes:
        taken, self._data = self._data[:size], self._data[size:]
        if len(taken) < size:
            raise _Senseless
        return taken


def _length(head: bytes) -> int:
    size: int = struct.unpack("!I", head.ljust(4, b"\xff"))[0]
    if size > _LONGEST:
        raise _Senseless
    return size


def _text(data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + data


def _number(value: int) -> bytes:
    """A positive number in SSH's form: two's complement, so that it never begins with a set bit."""
    return value.to_bytes(value.bit_length() // 8 + 1, "big")
