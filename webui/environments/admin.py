from __future__ import annotations

from django.contrib import admin

from webui.accounts.models import Grant
from webui.environments.models import Environment


class GrantInline(admin.TabularInline):
    model = Grant
    extra = 0
    autocomplete_fields = ("user", "team")


@admin.register(Environment)
class EnvironmentAdmin(admin.ModelAdmin):
    list_display = ("name", "kind", "url")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (GrantInline,)
