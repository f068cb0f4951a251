"""What every websocket of Havre has in common, and the one that tells pages what changed."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import logging
import math
import time
from collections import Counter
from collections.abc import Coroutine, Mapping
from typing import Any, ClassVar

from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth import HASH_SESSION_KEY, get_user_model
from django.contrib.sessions.backends.base import SessionBase
from django.http import QueryDict
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from webui.accounts import policy
from webui.accounts.policy import Action
from webui.environments.models import Environment
from webui.environments.selectors import environment_get
from webui.jobs.selectors import jobs_changed
from webui.live import publish
from webui.live.relay import OLDEST, relay

logger = logging.getLogger(__name__)

SIGNED_OUT, NOT_ALLOWED, GONE = 4401, 4403, 4404
ENDED = 1000
TRY_AGAIN = 1013

MOST = 400
"""Sockets that one person may have open in one process, each with a stream from an engine behind it."""

MOST_JOBS = 100
"""Jobs of which a page is told first."""

RECHECK = 15.0
"""Seconds between two looks at whether the session and the right still stand."""


class Ending(Exception):
    """The stream is over; the text is what the person reads. With *again*, the page may try once more."""

    def __init__(self, reason: str, *, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


class PolicyConsumer(AsyncWebsocketConsumer):
    """A socket that asks the policy before it opens, and again while it is open.

    A subclass names its `action`, starts its work in `opened` by `run`, and reads what comes up in `received`.
    """

    action: ClassVar[Action]

    environment: Environment
    _open: ClassVar[Counter[int]] = Counter()
    """How many each person has."""

    async def connect(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._counted = False
        self.user = self.scope["user"]
        self.kwargs: Mapping[str, str] = self.scope["url_route"]["kwargs"]
        refused = await self._refusal()
        if refused is None and self._open[self.user.pk] >= MOST:
            refused = TRY_AGAIN
        await self.accept()
        if refused is not None:
            # After the handshake: a browser does not show a page why a handshake failed.
            await self.close(code=refused)
            return
        self._counted = True
        self._open[self.user.pk] += 1
        await self.channel_layer.group_add(publish.user_group(self.user.pk), self.channel_name)
        self.run(self._recheck())
        await self.opened()

    async def opened(self) -> None:
        """The socket is open and allowed."""

    async def received(self, message: Mapping[str, object]) -> None:
        """A control message came up."""

    async def received_bytes(self, data: bytes) -> None:
        """Bytes came up."""

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry out *work* for as long as the socket is open; `Ending` in it closes the socket with its reason."""
        task = asyncio.ensure_future(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def send_json(self, message: Mapping[str, object]) -> None:
        await self.send(text_data=json.dumps(message, separators=(",", ":")))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if bytes_data is not None:
            await self.received_bytes(bytes_data)
            return
        with contextlib.suppress(ValueError):
            message = json.loads(text_data or "")
            if isinstance(message, dict):
                await self.received(message)

    async def disconnect(self, code: int) -> None:  # noqa: ARG002 - Channels' signature
        if self._counted:
            self._counted = False
            self._open[self.user.pk] -= 1
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
        if self.user.is_authenticated:
            await self.channel_layer.group_discard(publish.user_group(self.user.pk), self.channel_name)
        raise StopConsumer

    async def access_changed(self, event: Mapping[str, object]) -> None:
        """Somebody signed out, or rights changed."""
        left = event.get("left") == publish.session_digest(self.scope["session"].session_key)
        refused = SIGNED_OUT if left else await self._refusal()
        if refused is not None:
            await self.close(code=refused)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Ending as ending:
            with contextlib.suppress(Exception):
                await self.send_json({"type": "end", "reason": str(ending)})
                await self.close(code=TRY_AGAIN if ending.again else ENDED)
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("a stream of %s broke", type(self).__name__)
            with contextlib.suppress(Exception):
                await self.send_json({"type": "end", "reason": _("The stream broke; the log of the site says why.")})
                await self.close(code=1011)

    async def _recheck(self) -> None:
        while True:
            await asyncio.sleep(RECHECK)
            refused = await self._refusal()
            if refused is not None:
                await self.close(code=refused)
                return

    @database_sync_to_async
    def _refusal(self) -> int | None:
        """The code to close with, `None` when all is well. Reads session, person, environment and grants anew."""
        session: SessionBase | None = self.scope.get("session")
        if session is None or not self.user.is_authenticated:
            return SIGNED_OUT
        user = get_user_model().objects.filter(pk=self.user.pk, is_active=True).first()
        # `exists` would find a session that has expired; and a new password ends all sessions that knew the old one.
        proof = session.__class__(session.session_key).load().get(HASH_SESSION_KEY, "")
        if user is None or not constant_time_compare(proof, user.get_session_auth_hash()):
            return SIGNED_OUT
        environment = environment_get(slug=self.kwargs["env"])
        if environment is None or policy.role_in(user, environment) is None:
            return GONE
        self.environment = environment
        return None if policy.allows(user, self.action, environment=environment) else NOT_ALLOWED


class EventsConsumer(PolicyConsumer):
    """`/ws/e/<environment>/events/?since=1764170000.5`: what changed, as `{"type", "id", "action"}`.

    The page fetches it anew. `{"type": "reset"}` says that something may have been missed: fetch everything once.
    *since* is when the page was asked for (`MomentMiddleware`); what has changed from then to now is told first.
    """

    action = Action.ENVIRONMENT_VIEW

    async def opened(self) -> None:
        since = self._since()
        await self.channel_layer.group_add(publish.environment_group(self.environment.pk), self.channel_name)
        if since > time.time() - OLDEST:  # else the relay says that everything is to be fetched
            for message in await self._jobs_since(since):
                await self.send_json(message)
        self.run(self._events(since))

    def _since(self) -> float:
        """Seconds since the epoch; never, where the query does not tell."""
        try:
            since = float(QueryDict(self.scope["query_string"]).get("since", ""))
        except ValueError:
            return math.inf
        return min(since, time.time()) if math.isfinite(since) else math.inf

    @database_sync_to_async
    def _jobs_since(self, since: float) -> list[dict[str, str]]:
        if since == math.inf:
            return []
        jobs = jobs_changed(environment=self.environment, since=dt.datetime.fromtimestamp(since, dt.UTC))
        return [{"type": "job", "id": str(job.pk), "action": job.state} for job in jobs[:MOST_JOBS]]

    async def disconnect(self, code: int) -> None:
        if hasattr(self, "environment"):
            group = publish.environment_group(self.environment.pk)
            await self.channel_layer.group_discard(group, self.channel_name)
        await super().disconnect(code)

    async def changed(self, event: Mapping[str, object]) -> None:
        """From the channel layer: a job."""
        await self.send_json({"type": event["kind"], "id": event["id"], "action": event["action"]})

    async def _events(self, since: float) -> None:
        with relay.subscribed(self.environment, since=since) as queue:
            while True:
                await self.send_json(await queue.get())
