"""Havre's web side: pages, live updates and jobs over any Docker-compatible engine."""

from webui.celery import app as celery_app

__all__ = ["celery_app"]
