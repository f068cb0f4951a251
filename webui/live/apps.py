from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import m2m_changed, post_delete, post_save


class LiveConfig(AppConfig):
    name = "webui.live"

    def ready(self) -> None:
        from webui.accounts.models import Grant, Team, User

        user_logged_out.connect(_signed_out)
        post_save.connect(_user_saved, sender=User)
        for signal in (post_save, post_delete):
            signal.connect(_grant_changed, sender=Grant)
        m2m_changed.connect(_team_changed, sender=Team.members.through)


def _signed_out(user: Any = None, **_: Any) -> None:
    from webui.live import publish

    if user is not None:
        publish.access_changed(user)


def _user_saved(instance: Any, created: bool, update_fields: Any = None, **_: Any) -> None:
    if not created and set(update_fields or ()) != {"last_login"}:
        _signed_out(instance)


def _grant_changed(instance: Any, **_: Any) -> None:
    for user in [instance.user] if instance.user else instance.team.members.all():
        _signed_out(user)


def _team_changed(action: str, pk_set: Any, model: Any, **_: Any) -> None:
    if action.startswith("post_"):
        for user in model.objects.filter(pk__in=pk_set or ()):
            _signed_out(user)
