"""`SecurityOpt` of a container's body."""

from __future__ import annotations

from dataclasses import dataclass

from engine.api.fields import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    no_new_privileges: bool = False
    seccomp: str = ""
    """As in `HostConfig.seccomp`."""
    apparmor: str = ""
    """As in `HostConfig.apparmor`."""
    unconfined_paths: bool = False
    """Whether nothing of /proc and /sys is hidden or read-only."""


def parse(host: Fields, warnings: list[str]) -> Security:
    """What the options ask for. `InvalidParameter` for one that is malformed."""
    no_new_privileges, seccomp, apparmor, unconfined = False, "", "", False
    for option in host.texts("SecurityOpt"):
        key, _, value = option.partition("=") if "=" in option else option.partition(":")
        if key == "no-new-privileges":
            if value not in ("", "true", "false"):
                raise host.refused("SecurityOpt", f'invalid --security-opt 2: "{option[:60]}"')
            no_new_privileges = value != "false"
        elif key == "seccomp":
            seccomp = "" if value in ("builtin", "default") else value
        elif (key, value) in (("systempaths", "unconfined"), ("systempaths", "confined")):
            unconfined = value == "unconfined"
        elif key == "apparmor" and value:
            apparmor = value
        elif (key, value) == ("label", "disable"):
            continue  # as it is: this engine does not use SELinux
        elif key == "label":
            warnings.append(f"HostConfig.SecurityOpt: {option[:60]} has no effect: this engine does not use SELinux")
        else:
            raise host.refused("SecurityOpt", f'invalid --security-opt {2 if value else 1}: "{option[:60]}"')
    return Security(
        no_new_privileges=no_new_privileges, seccomp=seccomp, apparmor=apparmor, unconfined_paths=unconfined
    )
