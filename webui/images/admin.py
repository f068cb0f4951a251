from __future__ import annotations

from typing import Any

from django.contrib import admin

from webui.images.models import Upload


@admin.register(Upload)
class UploadAdmin(admin.ModelAdmin):
    """What is on its way is looked at here, not changed."""

    list_display = ("name", "environment", "created_by", "received", "size", "created_at")
    list_filter = ("environment",)
    date_hierarchy = "created_at"

    def has_add_permission(self, request: Any) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002 - its file would stay
        return False
