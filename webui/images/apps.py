from __future__ import annotations

from django.apps import AppConfig


class ImagesConfig(AppConfig):
    name = "webui.images"

    def ready(self) -> None:
        from webui.images.pulling import run_pull
        from webui.jobs.models import JobKind
        from webui.jobs.runners import register

        register(JobKind.PULL, run_pull)
