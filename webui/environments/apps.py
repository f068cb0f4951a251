from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate


class EnvironmentsConfig(AppConfig):
    name = "webui.environments"

    def ready(self) -> None:
        post_migrate.connect(_local_engine, sender=self)


def _local_engine(**_: Any) -> None:
    """Environment 1 is this host's engine, at the socket that the environment names."""
    from webui.environments.models import Environment, Kind

    url = f"unix://{settings.HAVRE_SOCKET}"
    made, created = Environment.objects.get_or_create(
        pk=1, defaults={"name": "local", "slug": "local", "kind": Kind.HAVRE, "url": url}
    )
    if not created and made.url != url:
        made.url = url
        made.save(update_fields=["url"])
