"""Receives archives in pieces: a few megabytes each, so that no size fills a process's memory or a proxy's patience.

The page sends piece after piece to the place where the last ended; after a cut it asks where that was, and goes on.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from webui.accounts import policy
from webui.images.models import Upload

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.environments.models import Environment

PIECE: Final = 4 * 1024 * 1024
"""Bytes that the page sends at once, and at most that are taken."""
KEPT: Final = dt.timedelta(hours=24)
ABANDONED: Final = dt.timedelta(hours=1)
"""For how long nothing may come of an upload before it makes room for another one of the same person."""
MOST: Final = 50
"""Uploads that one person may have at a time."""
_SPARE: Final = 1_000_000_000
"""Bytes that an upload leaves free on the disk."""


class WrongPlace(Exception):
    """The piece does not begin where the last one ended: `received` says where that was."""

    def __init__(self, received: int) -> None:
        super().__init__(received)
        self.received = received


def upload_begin(*, environment: Environment, user: User, name: str, size: int) -> Upload:
    """Make room for a file of *size* bytes; `ValidationError` when the disk has none, or the person too much of it."""
    policy.require(user, policy.Action.IMAGE_LOAD, environment=environment)
    if size <= 0:
        raise ValidationError(_("The file is empty."))
    directory = settings.UPLOADS_DIR
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with transaction.atomic():
        _require_share(user, size)
        if size + _promised() > shutil.disk_usage(directory).free - _SPARE:
            raise ValidationError(_("There is no room for it on the disk of this site."))
        upload = Upload.objects.create(environment=environment, created_by=user, name=name[:255], size=size)
    with os.fdopen(os.open(upload.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"):
        return upload


def upload_get(*, environment: Environment, user: User, upload_id: object) -> Upload | None:
    """An upload, for the person alone who began it."""
    return Upload.objects.filter(environment=environment, created_by=user, pk=upload_id).first()


def upload_complete(*, environment: Environment, upload_id: object) -> Upload | None:
    """An upload whose archive is here, all of it, for the job that was begun with it."""
    upload = Upload.objects.filter(environment=environment, pk=upload_id).first()
    return upload if upload is not None and upload.complete and upload.path.exists() else None


def upload_append(*, upload: Upload, offset: int, piece: bytes) -> int:
    """Write *piece* at *offset*; how much there is now. `WrongPlace`, `ValidationError` for too much."""
    with transaction.atomic():
        current = Upload.objects.select_for_update().get(pk=upload.pk)
        if offset != current.received:
            raise WrongPlace(current.received)
        if len(piece) > PIECE or offset + len(piece) > current.size:
            raise ValidationError(_("That is more than was announced."))
        if len(piece) > shutil.disk_usage(current.path.parent).free - _SPARE:
            raise ValidationError(_("There is no room left for it on the disk of this site."))
        with current.path.open("r+b") as file:
            file.seek(offset)
            file.write(piece)
        current.received = offset + len(piece)
        current.save(update_fields=["received"])
    return current.received


def _promised() -> int:
    """Bytes that are to come of all uploads."""
    return Upload.objects.aggregate(left=Sum(F("size") - F("received")))["left"] or 0


def _require_share(user: User, size: int) -> None:
    """`ValidationError` when the archives of *user* that wait here would be too many or too large with another one."""
    mine = list(Upload.objects.filter(created_by=user))

    def too_much() -> bool:
        return len(mine) >= MOST or size + sum(each.size for each in mine) > settings.UPLOAD_QUOTA

    for upload in tuple(mine):
        if too_much() and _abandoned(upload):
            upload_forget(upload=upload)
            mine.remove(upload)
    if too_much():
        raise ValidationError(
            _("Too many archives of yours are waiting here, or too large ones: load those, or come back in an hour.")
        )


def _abandoned(upload: Upload) -> bool:
    """Whether no piece of it has come for long. One that is complete waits for its job."""
    try:
        changed = upload.path.stat().st_mtime
    except FileNotFoundError:
        return True
    return not upload.complete and changed < (timezone.now() - ABANDONED).timestamp()


def upload_forget(*, upload: Upload) -> None:
    """The engine has it, or nobody wants it any more."""
    with contextlib.suppress(FileNotFoundError):
        upload.path.unlink()
    upload.delete()


def uploads_sweep(*, now: dt.datetime | None = None) -> int:
    """Forget what is older than a day, and files that no row knows; how many rows went."""
    old = Upload.objects.filter(created_at__lt=(now or timezone.now()) - KEPT)
    count = 0
    for upload in old:
        upload_forget(upload=upload)
        count += 1
    known = {str(pk) for pk in Upload.objects.values_list("pk", flat=True)}
    if settings.UPLOADS_DIR.is_dir():
        for path in settings.UPLOADS_DIR.iterdir():
            # The row is there before the file: a file without one has lost it with its environment.
            if path.name not in known:
                path.unlink(missing_ok=True)
    return count
