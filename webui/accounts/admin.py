"""People, teams and what they may do, in Django's admin: one form gives a colleague access."""

from __future__ import annotations

from typing import Any, ClassVar

from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserChangeForm, UserCreationForm
from django.contrib.auth.models import Group
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from webui.accounts.models import Grant, Team, User
from webui.accounts.selectors import access_of

admin.site.unregister((Group, EmailAddress))
# The one page to sign in at: the admin's own does not count who tries how often.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.site_header = admin.site.site_title = "Havre"
admin.site.index_title = _("People, environments and what happened")


class GrantInline(admin.TabularInline):
    """What the person or team of the page may do; an empty row to begin with where there is nothing yet."""

    model = Grant
    fields = ("role", "environment")
    verbose_name = _("role")
    verbose_name_plural = _("Roles: what they may do, and where")

    def formfield_for_dbfield(self, db_field: Any, request: Any, **arguments: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **arguments)
        if db_field.name == "environment":
            field.empty_label = _("everywhere")
            # What there is can be chosen here; it is made and changed on its own page.
            field.widget.can_add_related = field.widget.can_change_related = field.widget.can_view_related = False
        return field

    def get_extra(self, request: Any, obj: Any = None, **_arguments: Any) -> int:  # noqa: ARG002 - Django's signature
        return 0 if obj is not None and obj.grants.exists() else 1


class TeamsMixin(forms.ModelForm):
    """The teams of a person, by the person's form: Django keeps them with the team."""

    teams = forms.ModelMultipleChoiceField(
        label=_("Teams"),
        queryset=Team.objects.all(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("They may do what their teams may, and what their own roles say below."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["teams"].initial = self.instance.teams.all()

    def _save_m2m(self) -> None:
        super()._save_m2m()
        self.instance.teams.set(self.cleaned_data["teams"])


class PersonForm(TeamsMixin, UserChangeForm):
    class Meta(UserChangeForm.Meta):
        labels: ClassVar = {"is_active": _("May sign in"), "is_superuser": _("Administrator of Havre")}
        help_texts: ClassVar = {
            "is_active": _("Untick it instead of deleting: what they did stays under their name."),
            "is_superuser": _("May do everything everywhere, and makes people, teams and environments."),
        }


class NewPersonForm(TeamsMixin, UserCreationForm):
    pass


@admin.register(User)
class PersonAdmin(UserAdmin):
    inlines = (GrantInline,)
    form = PersonForm
    add_form = NewPersonForm
    add_form_template = "admin/change_form.html"
    list_display = ("username", "may", "in_teams", "is_active", "last_login")
    list_filter = ("is_active", "is_superuser", "teams")
    # Rights come from roles; Django's own permissions of models mean nothing here.
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("first_name", "last_name", "email")}),
        (_("Access"), {"fields": ("is_active", "teams", "is_superuser")}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("username", "password1", "password2", "teams")}),)
    readonly_fields = ("last_login", "date_joined")

    def get_queryset(self, request: Any) -> Any:
        return (
            super().get_queryset(request).prefetch_related("teams", "grants__environment", "teams__grants__environment")
        )

    @admin.display(description=_("may"))
    def may(self, user: User) -> str:
        return access_of(user)

    @admin.display(description=_("teams"))
    def in_teams(self, user: User) -> str:
        return ", ".join(team.name for team in user.teams.all()) or "-"

    def save_model(self, request: Any, obj: User, form: Any, change: bool) -> None:
        # This admin is for those who may do everything, and for nobody else.
        obj.is_staff = obj.is_superuser
        super().save_model(request, obj, form, change)

    def response_add(self, request: Any, obj: User, post_url_continue: Any = None) -> Any:
        # Django's own goes on to a second form, for rights that here are on the first.
        return admin.ModelAdmin.response_add(self, request, obj, post_url_continue)


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    inlines = (GrantInline,)
    list_display = ("name", "may", "people")
    filter_horizontal = ("members",)
    search_fields = ("name",)

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).prefetch_related("members", "grants__environment")

    @admin.display(description=_("may"))
    def may(self, team: Team) -> str:
        return ", ".join(grant.words for grant in team.grants.all()) or gettext("nothing yet")

    @admin.display(description=_("people"))
    def people(self, team: Team) -> str:
        return ", ".join(user.username for user in team.members.all()) or "-"


@admin.register(Grant)
class GrantAdmin(admin.ModelAdmin):
    list_display = ("__str__", "user", "team", "environment", "role")
    list_filter = ("role", "environment")
    autocomplete_fields = ("user", "team")
