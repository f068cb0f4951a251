"""Secrets at rest: encrypted by keys that are derived from the installation's secret key, one for each purpose.

A token holds more than the secret: what it was given for. Whoever opens one compares that, so that a row that was
changed, by whatever way, opens for nobody else.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(Exception):
    """It was encrypted with another secret key, or given for something else: it must be typed again."""


def encrypt(document: Mapping[str, str], *, purpose: bytes) -> str:
    """*document*, to be kept in a row."""
    return _keys(purpose).encrypt(json.dumps(dict(document)).encode()).decode("ascii")


def decrypt(token: str, *, purpose: bytes) -> dict[str, str]:
    """What was encrypted for *purpose*; `Unreadable`."""
    try:
        document: dict[str, str] = json.loads(_keys(purpose).decrypt(token.encode("ascii")))
    except (InvalidToken, ValueError) as error:
        raise Unreadable from error
    return document


def _keys(purpose: bytes) -> MultiFernet:
    """The present key first; those before it still open what they closed."""
    return MultiFernet([Fernet(_derive(key, purpose)) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


def _derive(key: str, purpose: bytes) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key.encode())
    return base64.urlsafe_b64encode(derived)
