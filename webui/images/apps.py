from __future__ import annotations

from django.apps import AppConfig


class ImagesConfig(AppConfig):
    name = "webui.images"

    def ready(self) -> None:
        from webui.images import runners
        from webui.jobs.models import JobKind
        from webui.jobs.runners import register

        register(JobKind.PULL, runners.run_pull)
        register(JobKind.PUSH, runners.run_push)
        register(JobKind.LOAD, runners.run_load)
        register(JobKind.IMPORT, runners.run_import)
        register(JobKind.IMAGE_PRUNE, runners.run_prune)
