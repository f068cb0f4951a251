from __future__ import annotations

from celery import shared_task

from webui.images import uploads


@shared_task(name="images.sweep-uploads", ignore_result=True)
def sweep_uploads() -> int:
    """Forget archives that nobody loaded; beat calls it every hour."""
    return uploads.uploads_sweep()
