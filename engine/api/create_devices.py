"""Devices in a container's body: `Devices` and `DeviceCgroupRules`."""

from __future__ import annotations

from engine.api.fields import Fields
from engine.containers.options import Device
from engine.containers.spec.resources import device_rule


def devices(host: Fields) -> tuple[Device, ...]:
    """`Devices`: nodes of the host by their paths there and in the container."""
    found = []
    for device in host.objects("Devices"):
        source = device.text("PathOnHost")
        target = device.text("PathInContainer") or source
        permissions = device.text("CgroupPermissions") or "rwm"
        for name, path in (("PathOnHost", source), ("PathInContainer", target)):
            if not path.startswith("/"):
                raise device.refused(name, f"must be an absolute path, got {path[:200]!r}")
        if set(permissions) - set("rwm"):
            raise device.refused("CgroupPermissions", f"letters of rwm, got {permissions[:20]!r}")
        found.append(Device(source=source, target=target, permissions=permissions))
    return tuple(found)


def rules(host: Fields) -> tuple[str, ...]:
    """`DeviceCgroupRules`, such as `c 1:3 rwm`."""
    found = host.texts("DeviceCgroupRules")
    for number, rule in enumerate(found):
        try:
            device_rule(rule)
        except ValueError as error:
            raise host.refused(
                f"DeviceCgroupRules[{number}]",
                f"invalid device cgroup rule format: '{rule[:60]}': expected 'TYPE MAJOR:MINOR rwm', such as 'c 1:3 r'",
            ) from error
    return found
