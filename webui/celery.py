"""The Celery application: long jobs and schedules, with Redis as broker."""

import os

from celery import Celery

from webui.schedules import install

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webui.settings")

app = Celery("webui")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
install(app)
