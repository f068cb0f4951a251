"""The cluster's store: a Redis that every engine reaches. Nothing is decided here that two engines could decide twice.

    havre:epoch               drawn when the store was empty: another one means that it has forgotten everything
    havre:networks            id → document          havre:vnis    VXLAN network identifier → id
    havre:leases:<network>    address → owner        havre:cursor:<network>   the last address handed out
    havre:endpoints:<network> owner → Peer
    havre:nodes               nodes by when they were last heard of, in seconds of the store's clock
    havre:changed             channel: the id of the network that changed

An owner is `<node>/<container>`. Addresses are handed out by a script, so that two engines never get the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Any, Final

import redis
from redis.exceptions import LockError, RedisError

from engine.errors import Conflict, EngineFault, Forbidden, Unavailable
from engine.networks.cluster.model import Peer
from engine.networks.model import Address
from engine.types import new_id

FIRST_VNI: Final = 4096
"""Lower ones are for people: Docker's overlay networks begin there too."""
LAST_VNI: Final = (1 << 24) - 1
CHANGED: Final = "havre:changed"
_PATIENCE: Final = 3.0
"""Seconds that a call waits for the store."""
_LOCK_SECONDS: Final = 15

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
local start = tonumber(redis.call('GET', cursor) or first - 1)
if start < first - 1 or start > last then start = first - 1 end
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


class ClusterStore:
    """Any thread may call it. Every call may raise `Unavailable`: the store cannot be reached."""

    def __init__(self, url: str) -> None:
        # Any: by redis-py's annotations every answer may be bytes, whatever `decode_responses` says.
        self._redis: Any = redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE
        )
        self._lease = self._redis.register_script(_LEASE)
        self._release = self._redis.register_script(_RELEASE)
        self._remove = self._redis.register_script(_REMOVE)

    def close(self) -> None:
        self._redis.close()

    # --- nodes

    def epoch(self) -> str:
        """The store's own mark; another one than before means that it has lost what it knew."""
        with _reached():
            self._redis.set("havre:epoch", new_id(), nx=True)
            return str(self._redis.get("havre:epoch"))

    def beat(self, node: str) -> None:
        """Say that a node lives."""
        with _reached():
            self._redis.zadd("havre:nodes", {node: self._now()})

    def heard(self, *, within: int) -> frozenset[str]:
        """The nodes that have told of themselves *within* so many seconds."""
        with _reached():
            return frozenset(self._redis.zrangebyscore("havre:nodes", self._now() - within, "+inf"))

    def forget_silent(self, *, since: int) -> None:
        """Free what nodes had that have been silent for *since* seconds: they will not come back."""
        with _reached():
            lost: list[str] = self._redis.zrangebyscore("havre:nodes", "-inf", self._now() - since)
            for node in lost:
                for network_id in self.networks():
                    self._drop(f"havre:endpoints:{network_id}", of=node, by_value=False)
                    self._drop(f"havre:leases:{network_id}", of=node, by_value=True)
                    self._redis.publish(CHANGED, network_id)
                self._redis.zrem("havre:nodes", node)

    def _drop(self, key: str, *, of: str, by_value: bool) -> None:
        """Remove the fields of a hash whose owner, which is the field or its value, is on a node."""
        rows: Mapping[str, str] = self._redis.hgetall(key)
        fields = [field for field, value in rows.items() if (value if by_value else field).startswith(f"{of}/")]
        if fields:
            self._redis.hdel(key, *fields)

    def _now(self) -> int:
        seconds, _ = self._redis.time()
        return int(seconds)

    # --- networks

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Alone among all engines: their networks' names, subnets and numbers must not clash."""
        lock = self._redis.lock("havre:lock", timeout=_LOCK_SECONDS, blocking_timeout=_LOCK_SECONDS)
        with _reached():
            if not lock.acquire():
                raise Unavailable("another engine of the cluster is changing networks for long: try again")
        try:
            yield
        finally:
            try:
                with _reached():
                    lock.release()
            except (LockError, Unavailable):
                pass  # it ends by itself

    def networks(self) -> Mapping[str, str]:
        """Every network's document by its id."""
        with _reached():
            return dict(self._redis.hgetall("havre:networks"))

    def next_vni(self) -> int:
        """The lowest number that no network has; call it inside `changing`."""
        with _reached():
            taken = {int(text) for text in self._redis.hkeys("havre:vnis")}
        for number in range(FIRST_VNI, LAST_VNI + 1):
            if number not in taken:
                return number
        raise EngineFault("every VXLAN network identifier is in use: remove overlay networks")

    def put_network(self, network_id: str, document: str, *, vni: int) -> None:
        """Add a network; `Conflict` when its number was taken meanwhile."""
        with _reached():
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
        with _reached():
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
        with _reached():
            found = self._lease(keys=keys, args=arguments)
        if found is None:
            raise EngineFault("no available addresses on this network: every one is in use, on this host or another")
        if not found:
            raise Forbidden(f"Address already in use: {wanted}")
        return IPv4Address(found)

    def release(self, network_id: str, owner: str, address: IPv4Address) -> None:
        """Give an address back; no error when somebody else has it."""
        with _reached():
            self._release(keys=[f"havre:leases:{network_id}"], args=[str(address), owner])

    def leases(self, network_id: str) -> Mapping[IPv4Address, str]:
        with _reached():
            rows: Mapping[str, str] = self._redis.hgetall(f"havre:leases:{network_id}")
        return {IPv4Address(address): owner for address, owner in rows.items()}

    def announce(self, network_id: str, peer: Peer) -> None:
        """Tell every node of an endpoint."""
        with _reached():
            self._redis.hset(f"havre:endpoints:{network_id}", peer.owner, peer.to_json())
            self._redis.publish(CHANGED, network_id)

    def retract(self, network_id: str, owner: str) -> None:
        """Tell every node that an endpoint is gone."""
        with _reached():
            self._redis.hdel(f"havre:endpoints:{network_id}", owner)
            self._redis.publish(CHANGED, network_id)

    def peers(self, network_id: str) -> Sequence[Peer]:
        """Every endpoint of a network, also those of nodes that are silent."""
        with _reached():
            rows: Mapping[str, str] = self._redis.hgetall(f"havre:endpoints:{network_id}")
        return [Peer.from_json(text) for text in rows.values()]

    @contextmanager
    def changes(self) -> Iterator[Callable[[float], str]]:
        """A call that waits so many seconds for the next change: the network's id, "" where there was none."""
        with _reached(), self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(CHANGED)

            def wait(seconds: float) -> str:
                with _reached():
                    message = channel.get_message(timeout=seconds)
                return str(message["data"]) if message else ""

            yield wait


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except LockError:
        raise
    except RedisError as error:
        raise Unavailable(
            f"the cluster's store (HAVRE_CLUSTER_URL) cannot be reached: {error}; what runs goes on, overlay networks "
            "cannot be changed or joined until it is back"
        ) from error
