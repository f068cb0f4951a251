"""What changes accounts."""

from __future__ import annotations

from django.db import transaction

from webui.accounts.models import SetupToken, User


class SetupClosed(Exception):
    """There is an administrator already, or the link is not good any more."""


def setup_is_open() -> bool:
    """Whether this installation still waits for its first administrator."""
    return not User.objects.filter(is_superuser=True).exists()


def administrator_create(*, token: str, username: str, password: str) -> User:
    """Make the first administrator by a set-up link, which is void afterwards."""
    with transaction.atomic():
        row = SetupToken.find(token)
        # Of two who come at once, one deletes it.
        if row is None or not setup_is_open() or not SetupToken.objects.filter(pk=row.pk).delete()[0]:
            raise SetupClosed
        return User.objects.create_superuser(username=username, password=password)
