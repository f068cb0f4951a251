"""Passwords at rest: encrypted (`webui.sealing`) and bound to one registry's host.

The host is part of what is encrypted. A row whose host was changed, by whatever way, has no password any more: it could
only be sent to somebody whom it was not given for.
"""

from __future__ import annotations

from typing import Final

from webui.sealing import Unreadable, decrypt, encrypt

_PURPOSE: Final = b"havre registry passwords, 1"

__all__ = ["Unreadable", "seal", "unseal"]


def seal(password: str, *, host: str) -> str:
    """*password*, to be kept in a row."""
    return encrypt({"host": host, "password": password}, purpose=_PURPOSE)


def unseal(token: str, *, host: str) -> str:
    """The password that was sealed for *host*; `Unreadable`."""
    document = decrypt(token, purpose=_PURPOSE)
    if document["host"] != host:
        raise Unreadable
    return document["password"]
