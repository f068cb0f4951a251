from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete


class LiveConfig(AppConfig):
    name = "webui.live"

    def ready(self) -> None:
        from webui.accounts.models import Grant, Team, User

        user_logged_out.connect(_signed_out)
        post_save.connect(_user_saved, sender=User)
        for signal in (post_save, post_delete):
            signal.connect(_grant_changed, sender=Grant)
        pre_delete.connect(_team_dissolved, sender=Team)
        m2m_changed.connect(_team_changed, sender=Team.members.through)


def _tell(user_ids: Any) -> None:
    from webui.live import publish

    for user_id in user_ids:
        publish.access_changed(user_id)


def _signed_out(request: Any = None, user: Any = None, **_: Any) -> None:
    from webui.live import publish

    if user is not None:
        publish.access_changed(user.pk, session_key=request.session.session_key)


def _user_saved(instance: Any, created: bool, update_fields: Any = None, **_: Any) -> None:
    if not created and set(update_fields or ()) != {"last_login"}:
        _tell([instance.pk])


def _grant_changed(instance: Any, **_: Any) -> None:
    # By number: when a person or a team is deleted, its row is gone before those of its grants.
    _tell([instance.user_id] if instance.user_id else _members(instance.team_id))


def _team_dissolved(instance: Any, **_: Any) -> None:
    _tell(_members(instance.pk))


def _team_changed(instance: Any, action: str, reverse: bool, pk_set: Any, **_: Any) -> None:
    # Before a clearing only, and after everything else, it is known whom it is about.
    if action in ("post_add", "post_remove", "pre_clear"):
        if reverse:
            _tell([instance.pk])
        else:
            _tell(_members(instance.pk) if pk_set is None else pk_set)


def _members(team_id: int) -> list[int]:
    from webui.accounts.models import User

    return list(User.objects.filter(teams=team_id).values_list("pk", flat=True))
