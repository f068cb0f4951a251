from __future__ import annotations

from django.apps import AppConfig


class BuildsConfig(AppConfig):
    name = "webui.builds"

    def ready(self) -> None:
        from webui.builds.runner import run_build
        from webui.jobs.models import JobKind
        from webui.jobs.runners import register

        register(JobKind.BUILD, run_build)
