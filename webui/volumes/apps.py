from __future__ import annotations

from django.apps import AppConfig


class VolumesConfig(AppConfig):
    name = "webui.volumes"

    def ready(self) -> None:
        from webui.jobs.models import JobKind
        from webui.jobs.runners import register
        from webui.volumes.pruning import run_prune

        register(JobKind.VOLUME_PRUNE, run_prune)
