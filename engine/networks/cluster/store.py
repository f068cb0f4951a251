"""The cluster's store: a Redis that every engine reaches. Nothing is decided here that two engines could decide twice.

    havre:epoch               drawn when the store was empty: another one means that it has forgotten everything
    havre:networks            id → document          havre:vnis    VXLAN network identifier → id
    havre:leases:<network>    address → owner        havre:cursor:<network>   the last address handed out
    havre:endpoints:<network> owner → Peer
    havre:nodes               nodes by when they were last heard of, in seconds of the store's clock
    havre:hosts               address that takes packets → node
    havre:changed             channel: the id of the network that changed

An owner is `<node>/<container>`. Addresses are handed out by a script, so that two engines never get the same one.
What others wrote may be anything: what cannot be is passed over, and told once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import LockError, RedisError
from redis.exceptions import TimeoutError as NoAnswer
from redis.retry import Retry

from engine.errors import Conflict, EngineFault, Forbidden, Unavailable
from engine.networks.cluster.admission import FIRST_VNI, LAST_VNI, is_vni
from engine.networks.cluster.model import Peer
from engine.networks.cluster.said import Said
from engine.networks.model import Address
from engine.types import new_id

_LOG: Final = logging.getLogger(__name__)
CHANGED: Final = "havre:changed"
_PATIENCE: Final = 3.0
"""Seconds that a call waits for the store."""
_RESPITE: Final = 2.0
"""Seconds for which a store that did not answer is not asked again: else each of many calls would wait in turn."""
_LOCK_SECONDS: Final = 15
_MOST: Final = 100_000
"""Entries of one key: what has more is no cluster's, and would fill this host's memory."""
_MARK: Final = 63
"""The last character of the store's mark that is read."""

_LEASE: Final = """
local leases, cursor = KEYS[1], KEYS[2]
local owner, wanted, first, last = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if wanted ~= '' then
    local holder = redis.call('HGET', leases, wanted)
    if holder and holder ~= owner then return '' end
    redis.call('HSET', leases, wanted, owner)
    return wanted
end
local reserved = {}
for position = 5, #ARGV do reserved[ARGV[position]] = true end
local start = math.floor(tonumber(redis.call('GET', cursor) or '') or first - 1)
if start ~= start or start < first - 1 or start > last then start = first - 1 end
for step = 1, last - first + 1 do
    local number = first + (start - first + step) % (last - first + 1)
    local text = string.format('%d.%d.%d.%d', math.floor(number / 16777216), math.floor(number / 65536) % 256,
        math.floor(number / 256) % 256, number % 256)
    if not reserved[text] and redis.call('HSETNX', leases, text, owner) == 1 then
        redis.call('SET', cursor, number)
        return text
    end
end
return false
"""
_RELEASE: Final = """
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
"""
_REMOVE: Final = """
if redis.call('HLEN', KEYS[3]) > 0 or redis.call('HLEN', KEYS[4]) > 0 then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[5])
return 1
"""
_UNLOCK: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and string.sub(holder, 1, #ARGV[1]) == ARGV[1] and string.sub(holder, 1, #ARGV[2]) ~= ARGV[2] then
    redis.call('DEL', KEYS[1])
end
"""


class ClusterStore:
    """Any thread may call it. Every call may raise `Unavailable`: the store cannot be reached, or is no such store.

    `ValueError` for an address that means no Redis.
    """

    def __init__(self, url: str) -> None:
        # Any: by redis-py's annotations every answer may be bytes, whatever `decode_responses` says.
        self._redis: Any = redis.Redis.from_url(
            url,
            decode_responses=True,
            encoding_errors="replace",
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            # Once more, where the connection had been closed meanwhile; never where nobody answers.
            retry=Retry(NoBackoff(), 1, supported_errors=(NoConnection,)),
        )
        try:
            self._redis.connection_pool.make_connection()
        except (TypeError, RedisError) as error:
            raise ValueError("an option of it is not known") from error
        self._said = Said(_LOG)
        self._away_until = 0.0
        self._away_for = ""
        self._lease = self._redis.register_script(_LEASE)
        self._release = self._redis.register_script(_RELEASE)
        self._remove = self._redis.register_script(_REMOVE)
        self._unlock = self._redis.register_script(_UNLOCK)
        self._life = new_id()

    def close(self) -> None:
        self._redis.close()

    # --- nodes

    def epoch(self) -> str:
        """The store's own mark; another one than before means that it has lost what it knew."""
        with self._reached():
            self._redis.set("havre:epoch", new_id(), nx=True)
            return str(self._redis.getrange("havre:epoch", 0, _MARK))

    def beat(self, node: str) -> None:
        """Say that a node lives."""
        with self._reached():
            self._redis.zadd("havre:nodes", {node: self._now()})

    def marks(self) -> tuple[Mapping[str, float], int]:
        """Every node with the mark that it left last, and what the next mark would be: seconds of the store's clock."""
        with self._reached():
            self._require_few("havre:nodes", self._redis.zcard("havre:nodes"))
            return dict(self._redis.zrange("havre:nodes", 0, -1, withscores=True)), self._now()

    def forget(self, node: str) -> None:
        """Free what a node had that will not come back."""
        with self._reached():
            for network_id in self.networks():
                self._drop(f"havre:endpoints:{network_id}", of=node, by_value=False)
                self._drop(f"havre:leases:{network_id}", of=node, by_value=True)
                self._redis.publish(CHANGED, network_id)
            self._redis.zrem("havre:nodes", node)

    def claim(self, host: IPv4Address, node: str, *, heard: Collection[str]) -> str:
        """Who has the address *host*: *node*, unless another that is *heard* has it already."""
        with self._reached():
            if not self._redis.hsetnx("havre:hosts", str(host), node):
                holder = str(self._redis.hget("havre:hosts", str(host)))
                if holder != node and holder in heard:
                    return holder
                self._redis.hset("havre:hosts", str(host), node)
            for address, holder in self._rows("havre:hosts").items():
                if holder == node and address != str(host):
                    self._redis.hdel("havre:hosts", address)
            return node

    def _drop(self, key: str, *, of: str, by_value: bool) -> None:
        """Remove the fields of a hash whose owner, which is the field or its value, is on a node."""
        rows = self._rows(key)
        fields = [field for field, value in rows.items() if (value if by_value else field).startswith(f"{of}/")]
        if fields:
            self._redis.hdel(key, *fields)

    def _now(self) -> int:
        seconds, _ = self._redis.time()
        return int(seconds)

    # --- networks

    @contextmanager
    def changing(self, node: str) -> Iterator[Callable[[], None]]:
        """Alone among all engines: their networks' names, subnets and numbers must not clash.

        Gives a call that raises `Unavailable` where that is not so any more, because the store is too slow.
        """
        lock = self._redis.lock("havre:lock", timeout=_LOCK_SECONDS, blocking_timeout=_LOCK_SECONDS)
        with self._reached():
            if not lock.acquire(token=f"{node}/{self._life}/{new_id()}"):
                raise Unavailable(
                    "another engine of the cluster is changing networks for long: try again, or remove the key "
                    "havre:lock where none is"
                )

        def still() -> None:
            try:
                with self._reached():
                    lock.reacquire()
            except LockError as error:
                raise Unavailable(
                    "the cluster's store (HAVRE_CLUSTER_URL) is too slow: another engine may be changing networks by "
                    "now; try again"
                ) from error

        try:
            yield still
        finally:
            with suppress(LockError, Unavailable), self._reached():  # it ends by itself
                lock.release()

    def unlock(self, node: str) -> None:
        """End what an earlier life of a node was about to change when it was cut off."""
        with self._reached():
            self._unlock(keys=["havre:lock"], args=[f"{node}/", f"{node}/{self._life}/"])

    def networks(self) -> Mapping[str, str]:
        """Every network's document by its id."""
        with self._reached():
            return self._rows("havre:networks")

    def next_vni(self) -> int:
        """The lowest number that no network has; call it inside `changing`."""
        with self._reached():
            taken = {int(text) for text in self._rows("havre:vnis") if is_vni(text)}
        for number in range(FIRST_VNI, LAST_VNI + 1):
            if number not in taken:
                return number
        raise EngineFault("every VXLAN network identifier is in use: remove overlay networks")

    def put_network(self, network_id: str, document: str, *, vni: int) -> None:
        """Add a network; `Conflict` when its number was taken meanwhile."""
        with self._reached():
            new = self._redis.hsetnx("havre:vnis", str(vni), network_id)
            if not new and self._redis.hget("havre:vnis", str(vni)) != network_id:
                raise Conflict(f"VXLAN network identifier {vni} belongs to another network of the cluster")
            self._redis.hset("havre:networks", network_id, document)
            self._redis.publish(CHANGED, network_id)

    def remove_network(self, network_id: str, *, vni: int, name: str) -> None:
        """Remove a network and its number; `Forbidden` while any node has an endpoint in it."""
        keys = [
            *("havre:networks", "havre:vnis"),
            *(f"havre:{kind}:{network_id}" for kind in ("endpoints", "leases", "cursor")),
        ]
        with self._reached():
            if not self._remove(keys=keys, args=[network_id, str(vni)]):
                raise Forbidden(
                    f"error while removing network: network {name} id {network_id} has active endpoints on other nodes"
                )
            self._redis.publish(CHANGED, network_id)

    # --- addresses and endpoints

    def lease(
        self,
        network_id: str,
        owner: str,
        *,
        wanted: IPv4Address | None,
        first: Address,
        last: Address,
        reserved: Collection[Address],
    ) -> IPv4Address:
        """An address of a network for *owner*: *wanted*, or the next free one from *first* to *last*.

        `Forbidden` when somebody has the wanted one, `EngineFault` when none is left.
        """
        keys = [f"havre:leases:{network_id}", f"havre:cursor:{network_id}"]
        arguments: list[str | int] = [owner, str(wanted or ""), int(first), int(last), *map(str, reserved)]
        with self._reached():
            found = self._lease(keys=keys, args=arguments)
        if found is None:
            raise EngineFault("no available addresses on this network: every one is in use, on this host or another")
        if not found:
            raise Forbidden(f"Address already in use: {wanted}")
        return IPv4Address(found)

    def release(self, network_id: str, owner: str, address: IPv4Address) -> None:
        """Give an address back; no error when somebody else has it."""
        with self._reached():
            self._release(keys=[f"havre:leases:{network_id}"], args=[str(address), owner])

    def leases(self, network_id: str) -> Mapping[IPv4Address, str]:
        with self._reached():
            rows = self._rows(f"havre:leases:{network_id}")
        found = {}
        for text, owner in rows.items():
            try:
                found[IPv4Address(text)] = owner
            except ValueError:
                self._said.once(f"the cluster's store has a lease of no address: {text[:60]!r}")
        return found

    def announce(self, network_id: str, peer: Peer) -> None:
        """Tell every node of an endpoint."""
        with self._reached():
            self._redis.hset(f"havre:endpoints:{network_id}", peer.owner, peer.to_json())
            self._redis.publish(CHANGED, network_id)

    def retract(self, network_id: str, owner: str) -> None:
        """Tell every node that an endpoint is gone."""
        with self._reached():
            self._redis.hdel(f"havre:endpoints:{network_id}", owner)
            self._redis.publish(CHANGED, network_id)

    def peers(self, network_id: str) -> Sequence[Peer]:
        """Every endpoint of a network, also those of nodes that are silent."""
        with self._reached():
            rows = self._rows(f"havre:endpoints:{network_id}")
        found = []
        for owner, text in rows.items():
            try:
                peer = Peer.from_json(text)
                if peer.owner != owner:
                    raise EngineFault(f"the cluster's store has an endpoint of another under {owner[:200]!r}")
                found.append(peer)
            except EngineFault as error:
                self._said.once(str(error))
        return found

    @contextmanager
    def changes(self) -> Iterator[Callable[[float], str]]:
        """A call that waits so many seconds for the next change: the network's id, "" where there was none."""
        with self._reached(), self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(CHANGED)

            def wait(seconds: float) -> str:
                with self._reached():
                    message = channel.get_message(timeout=seconds)
                return str(message["data"]) if message else ""

            yield wait

    def _rows(self, key: str) -> Mapping[str, str]:
        """A hash. The caller is inside `_reached`."""
        self._require_few(key, self._redis.hlen(key))
        return dict(self._redis.hgetall(key))

    @contextmanager
    def _reached(self) -> Iterator[None]:
        if time.monotonic() < self._away_until:
            raise _unavailable(f"{self._away_for} (a moment ago)")
        try:
            yield
        except LockError:
            raise
        except (NoConnection, NoAnswer) as error:
            self._away_for, self._away_until = str(error), time.monotonic() + _RESPITE
            raise _unavailable(str(error)) from error
        except RedisError as error:
            raise _unavailable(str(error)) from error

    @staticmethod
    def _require_few(key: str, number: int) -> None:
        if number > _MOST:
            raise EngineFault(f"the cluster's store has {number} entries in {key}: it is not one of engines alone")


def _unavailable(why: str) -> Unavailable:
    return Unavailable(
        f"the cluster's store (HAVRE_CLUSTER_URL) cannot be reached: {why[:300]}; what runs goes on, overlay networks "
        "cannot be changed or joined until it is back"
    )
