"""Drivers: how a network of each kind comes to be on the host, and how a container gets into it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from engine.errors import NotFound
from engine.networks.drivers.bridge import BridgeDriver
from engine.networks.drivers.interface import NetworkDriver
from engine.networks.drivers.macvlan import MacvlanDriver
from engine.networks.drivers.overlay import OverlayDriver
from engine.networks.drivers.plain import PlainDriver
from engine.networks.model import Driver, Network


class Drivers:
    """Every driver of this engine, by its name."""

    def __init__(self) -> None:
        self.overlay = OverlayDriver()
        self._drivers: dict[str, NetworkDriver] = {
            Driver.BRIDGE: BridgeDriver(),
            Driver.HOST: PlainDriver(),
            Driver.NONE: PlainDriver(),
            Driver.MACVLAN: MacvlanDriver(),
            Driver.OVERLAY: self.overlay,
        }

    def of(self, network: Network) -> NetworkDriver:
        return self._drivers[network.driver]

    def making(self, name: str) -> AbstractContextManager[None]:
        """Around the making of a network of that driver."""
        return self._drivers[self.named(name)].making()

    def named(self, name: str) -> Driver:
        """The driver that a request names; `NotFound` in Docker's words."""
        if name not in self._drivers:
            raise NotFound(f'plugin "{name[:60]}" not found')
        return Driver(name)
