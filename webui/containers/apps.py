from __future__ import annotations

from django.apps import AppConfig


class ContainersConfig(AppConfig):
    name = "webui.containers"

    def ready(self) -> None:
        from webui.containers.committing import run_commit
        from webui.jobs.models import JobKind
        from webui.jobs.runners import register

        register(JobKind.COMMIT, run_commit)
