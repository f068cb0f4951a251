"""Compiled seccomp filters, kept for the next container with the same profile.

A runtime compiles a profile into the kernel's instructions at each start, which takes libseccomp 12 ms; all but a few
containers have the same. crun keeps the result beside its state, and takes it ready-made in an annotation. The profile
goes along: it counts wherever a runtime does not know the annotation.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from typing import Any, Final

from engine.containers.runtime.oci import Runtime

_ANNOTATION: Final = "run.oci.seccomp_bpf_data"
"""crun(1): base64, used instead of `linux.seccomp`."""
_MOST: Final = 64
"""How many are kept, at some 10 KB each: requests may bring along as many profiles as they like."""


class CompiledFilters:
    """What *runtime* has compiled since the daemon's start. Any thread may call."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}

    def applied(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """*spec* (OCI runtime-spec) with the compiled form of its profile, where that is known."""
        with self._lock:
            compiled = self._known.get(_key(spec))
        if compiled is None:
            return dict(spec)
        return {**spec, "annotations": {**spec.get("annotations", {}), _ANNOTATION: compiled}}

    def learn(self, spec: Mapping[str, Any], container_id: str) -> None:
        """Keep what the runtime compiled for the container that it has just made from *spec*."""
        key = _key(spec)
        if not key or not self._runtime.takes_compiled_filters:
            return
        with self._lock:
            if key in self._known:
                return
        compiled = self._runtime.compiled_filter(container_id)
        if compiled is None:
            return
        with self._lock:
            if len(self._known) >= _MOST:
                del self._known[next(iter(self._known))]
            self._known[key] = base64.b64encode(compiled).decode("ascii")


def _key(spec: Mapping[str, Any]) -> str:
    """The profile as text, empty where there is none."""
    profile = spec["linux"].get("seccomp")
    return json.dumps(profile, sort_keys=True) if profile else ""
