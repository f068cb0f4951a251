"""Secrets of builds in Django's admin: whose they are, and that they can be forgotten; never what they are."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from webui.builds.models import BuildSecrets


@admin.register(BuildSecrets)
class BuildSecretsAdmin(admin.ModelAdmin):
    list_display = ("job", "given_by")
    fields = ("job", "given_by")
    readonly_fields = ("job", "given_by")

    def has_add_permission(self, request: Any) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002
        return False
