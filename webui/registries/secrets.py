"""Passwords at rest: encrypted by a key derived from the installation's secret key, and bound to one registry's host.

The host is part of what is encrypted. A row whose host was changed, by whatever way, has no password any more: it could
only be sent to somebody whom it was not given for.
"""

from __future__ import annotations

import base64
import json
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_PURPOSE: Final = b"havre registry passwords, 1"


class Unreadable(Exception):
    """It was encrypted with another secret key, or for another host: it must be typed again."""


def seal(password: str, *, host: str) -> str:
    """*password*, to be kept in a row."""
    document = json.dumps({"host": host, "password": password}).encode()
    return _keys().encrypt(document).decode("ascii")


def unseal(token: str, *, host: str) -> str:
    """The password that was sealed for *host*."""
    try:
        document = json.loads(_keys().decrypt(token.encode("ascii")))
    except (InvalidToken, ValueError) as error:
        raise Unreadable from error
    if document["host"] != host:
        raise Unreadable
    password: str = document["password"]
    return password


def _keys() -> MultiFernet:
    """The present key first; those before it still open what they closed."""
    return MultiFernet([Fernet(_derive(key)) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


def _derive(key: str) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key.encode())
    return base64.urlsafe_b64encode(derived)
