"""People, teams and grants in Django's admin."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group

from webui.accounts.models import Grant, Team, User

admin.site.unregister(Group)
# The one page to sign in at: the admin's own does not count who tries how often.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.site_header = admin.site.site_title = "Havre"


class GrantInline(admin.TabularInline):
    model = Grant
    extra = 0


@admin.register(User)
class PersonAdmin(UserAdmin):
    inlines = (GrantInline,)
    list_display = ("username", "email", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser", "teams")
    # Rights come from grants; Django's own permissions of models mean nothing here.
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined")


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    inlines = (GrantInline,)
    filter_horizontal = ("members",)
    search_fields = ("name",)


@admin.register(Grant)
class GrantAdmin(admin.ModelAdmin):
    list_display = ("__str__", "user", "team", "environment", "role")
    list_filter = ("role", "environment")
    autocomplete_fields = ("user", "team")
