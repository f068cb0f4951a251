"""`manage.py setup_link`: print the one-time link to the administrator's account, while there is none."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from webui.accounts.models import SetupToken
from webui.accounts.services import setup_is_open


class Command(BaseCommand):
    help = "Print the one-time link by which the first administrator is made; nothing when there is one."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        if setup_is_open():
            self.stdout.write(f"http://{settings.HAVRE_BIND}/setup/{SetupToken.issue()}/")
