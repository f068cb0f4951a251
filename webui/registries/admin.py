"""Registries in Django's admin: everything but the password, which can be taken away there and never read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from webui.registries.models import Registry


@admin.register(Registry)
class RegistryAdmin(admin.ModelAdmin):
    list_display = ("host", "environment", "username", "has_password", "changed_by", "changed_at")
    list_filter = ("environment",)
    search_fields = ("host", "username", "note")
    fields = ("host", "environment", "username", "note", "has_password", "changed_by", "changed_at")
    readonly_fields = ("host", "environment", "has_password", "changed_by", "changed_at")
    actions = ("forget_password",)

    @admin.action(description="Forget the passwords of the chosen registries")
    def forget_password(self, request: Any, queryset: Any) -> None:
        forgotten = queryset.update(sealed="")
        self.message_user(request, f"{forgotten} passwords are forgotten.")

    @admin.display(boolean=True, description="password")
    def has_password(self, registry: Registry) -> bool:
        return registry.has_password

    def has_add_permission(self, request: Any) -> bool:  # noqa: ARG002 - Django's signature
        # A registry is made on its own page, where its password can be given and tried.
        return False
