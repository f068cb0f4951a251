"""What is told about people."""

from __future__ import annotations

from django.utils.translation import gettext as _

from webui.accounts.models import User


def access_of(user: User) -> str:
    """Everything that *user* may do, in words: by roles of their own, then by those of their teams."""
    if not user.is_active:
        return _("nothing: may not sign in")
    if user.is_superuser:
        return _("everything, people included")
    own = [grant.words for grant in user.grants.all()]
    by_teams = [f"{grant.words} ({team.name})" for team in user.teams.all() for grant in team.grants.all()]
    return ", ".join(own + by_teams) or _("nothing yet")
