"""RUN: a command in a container of its own, whose writable layer becomes a layer of the image."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from engine.build import process
from engine.containers import apparmor
from engine.containers.creation import draft
from engine.containers.model import Container
from engine.containers.options import ContainerConfig, HostConfig
from engine.containers.places import make_place_of_tmpfs, make_working_dir
from engine.containers.runtime.compiled_filters import CompiledFilters
from engine.containers.runtime.oci import Runtime
from engine.containers.spec import capabilities, users
from engine.containers.spec.document import Prepared, runtime_spec
from engine.containers.spec.mounts import ReadyMount
from engine.errors import ContainerNotFound, InvalidParameter
from engine.images.model import Image, ImageConfig
from engine.kernel import cgroup, paths
from engine.networks import files
from engine.networks.model import Attachment, ResolverConfig, Sandbox, SandboxRequest
from engine.networks.sandboxes import has_resolver
from engine.networks.service import NetworkService
from engine.types import Digest, Platform, new_id

_PLATFORM: Final = Platform(os="linux", architecture="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a step runs, and as whom."""

    words: tuple[str, ...]
    env: tuple[str, ...]
    user: str = ""
    working_dir: str = ""
    hostname: str = ""
    network: str = "default"
    """`default`, `none`, `host`, or a network's name."""
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[ReadyMount] = ()


class Sandboxes:
    """Networks for the steps of one build: each has one to itself while it runs, and the next takes it over.

    Making one takes longer than starting a process in it.
    """

    def __init__(self, networks: NetworkService) -> None:
        self._networks = networks
        self._lock = threading.Lock()
        self._free: dict[str, list[Sandbox]] = {}
        self._all: list[str] = []

    @contextmanager
    def lent(self, network: str) -> Iterator[Sandbox]:
        """A sandbox in *network* that nobody else uses while the block runs.

        `InvalidParameter` for the host's own network by another name than `host`.
        """
        with self._lock:
            free = self._free.setdefault(network, [])
            sandbox = free.pop() if free else None
        if sandbox is None:
            name = new_id()
            with self._lock:
                self._all.append(name)
            sandbox = self._networks.open(SandboxRequest(container_id=name, attachments=(Attachment(network=network),)))
        if sandbox.netns is None and network != "host":
            raise InvalidParameter(f"networkmode: {network[:80]} is the host's own network: say host")
        try:
            yield sandbox
        finally:
            with self._lock:
                self._free[network].append(sandbox)

    def close(self) -> None:
        for name in self._all:
            self._networks.release(name)


class StepRunner:
    """Runs the commands of builds."""

    def __init__(self, *, runtime: Runtime, held: frozenset[str], cgroup_parent: str) -> None:
        self._runtime = runtime
        self._filters = CompiledFilters(runtime)
        self._held = held
        self._cgroup_parent = cgroup_parent

    def run(
        self,
        command: Command,
        *,
        step: str,
        rootfs: Path,
        bundle: Path,
        host: HostConfig,
        sandbox: Sandbox,
        output: process.Output,
        check: Callable[[], None],
    ) -> int:
        """Run *command* in the tree mounted at *rootfs*; its exit code.

        *step* is the container's id, *bundle* an empty directory for it, *host* the limits and hosts that the build
        asked for. Errors as those of `process.run`; `InvalidParameter` for users and limits that cannot be.
        """
        container = self._container(command, step, host)
        spec = runtime_spec(container, self._prepared(container, command, rootfs, bundle, sandbox))
        (bundle / "config.json").write_text(json.dumps(self._filters.applied(spec)), encoding="utf-8")
        cgroup.expect_join()
        return process.run(
            self._runtime,
            container_id=step,
            bundle=bundle,
            output=output,
            check=check,
            begun=lambda: self._filters.learn(spec, step),
            program=container.path,
        )

    def _container(self, command: Command, step: str, host: HostConfig) -> Container:
        return draft(
            container_id=step,
            name=step,
            image=Image(id=Digest(""), platform=_PLATFORM, config=ImageConfig(), created=None, size=0, diff_ids=()),
            config=ContainerConfig(
                image="",
                entrypoint=(),
                cmd=command.words,
                env=command.env,
                user=command.user,
                working_dir=command.working_dir,
                hostname=command.hostname,
            ),
            host=replace(
                host,
                tmpfs=command.tmpfs,
                network_mode="host" if command.network == "host" else "default",
            ),
            raw_config={},
            raw_host_config={},
            held=self._held,
            log_path="",
            find=_nobody,
        ).container

    def _prepared(
        self, container: Container, command: Command, rootfs: Path, bundle: Path, sandbox: Sandbox
    ) -> Prepared:
        host = container.host
        with paths.opened_root(rootfs) as root:
            identity = users.resolve(root, container.config.user, group_add=())
            make_working_dir(root, container.config.working_dir)
            for place in host.tmpfs:
                make_place_of_tmpfs(root, place)
        _write_files(container, sandbox, bundle)
        return Prepared(
            rootfs=rootfs,
            netns=sandbox.netns,
            files={f"/etc/{name}": bundle / name for name in ("hosts", "hostname", "resolv.conf")},
            identity=identity,
            capabilities=capabilities.effective(add=(), drop=(), privileged=False, held=self._held),
            cgroups_path=f"/{host.cgroup_parent.strip('/') or self._cgroup_parent}/{container.id}",
            cgroup_version=cgroup.version(),
            apparmor=apparmor.profile_of(container.host),
            mounts=command.mounts,
        )


def _write_files(container: Container, sandbox: Sandbox, bundle: Path) -> None:
    texts = {
        "hostname": container.config.hostname + "\n",
        "hosts": files.hosts(
            hostname=container.config.hostname,
            addresses=[address.ip for endpoint in sandbox.endpoints for address in endpoint.addresses],
            gateway=next((each.gateway for each in sandbox.endpoints if each.gateway is not None), None),
            extra=container.host.extra_hosts,
            share_host=sandbox.netns is None,
        ),
        "resolv.conf": files.resolv_conf(
            ResolverConfig(), share_host=sandbox.netns is None, embedded=has_resolver(sandbox.endpoints)
        ),
    }
    for name, text in texts.items():
        (bundle / name).write_text(text, encoding="utf-8")


def _nobody(text: str) -> Container:
    raise ContainerNotFound(text)
