from __future__ import annotations

from typing import Any

from django.contrib import admin

from webui.jobs.models import Job


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):
    """History is read, not written."""

    list_display = ("__str__", "environment", "state", "created_by", "created_at", "finished_at")
    list_filter = ("state", "kind", "environment")
    search_fields = ("subject", "message")
    date_hierarchy = "created_at"

    def has_add_permission(self, request: Any) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002
        return False
