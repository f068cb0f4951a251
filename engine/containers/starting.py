"""Starting a container: everything that its process needs, made in order and taken down again when a step fails."""

from __future__ import annotations

import errno
import ipaddress
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.containers import apparmor, networking
from engine.containers.joining import Joined, Joiner
from engine.containers.links import Linked, Links
from engine.containers.logs import logfile
from engine.containers.model import Container
from engine.containers.mounting import ContainerMounts
from engine.containers.places import make_place_of_tmpfs, make_working_dir
from engine.containers.runtime.compiled_filters import CompiledFilters
from engine.containers.runtime.monitor import Monitor, Monitors
from engine.containers.runtime.oci import Runtime
from engine.containers.spec import capabilities, devices, users
from engine.containers.spec.document import Prepared, runtime_spec
from engine.containers.streams.attach import Attachments
from engine.errors import (
    CommandUnusable,
    Conflict,
    EngineFault,
    PortInUse,
    RuntimeFailed,
    StorageFull,
)
from engine.kernel import cgroup, paths
from engine.networks import files
from engine.networks.model import ResolverConfig, Sandbox
from engine.networks.sandboxes import has_resolver
from engine.networks.service import NetworkService
from engine.snapshots.store import SnapshotStore

_CREATE_FAILED: Final = "failed to create task for container: failed to create shim task: "
_INITS: Final = ("docker-init", "tini", "catatonit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A running container's monitor and network."""

    monitor: Monitor
    sandbox: Sandbox


class Starter:
    """Starts containers and takes down what starting made."""

    def __init__(
        self,
        *,
        directory: Path,
        cgroup_parent: str,
        held: frozenset[str],
        snapshots: SnapshotStore,
        networks: NetworkService,
        monitors: Monitors,
        runtime: Runtime,
        attachments: Attachments,
        mounts: ContainerMounts,
        joiner: Joiner,
        links: Links,
        executor: Executor,
    ) -> None:
        self.mounts = mounts
        self.joiner = joiner
        self.links = links
        self._directory = directory
        self._cgroup_parent = cgroup_parent
        self._held = held
        self._snapshots = snapshots
        self._networks = networks
        self._monitors = monitors
        self._runtime = runtime
        self._filters = CompiledFilters(runtime)
        self._attachments = attachments
        self._executor = executor

    def bundle(self, container_id: str) -> Path:
        """The container's directory: its OCI bundle, its log, and the files that are mounted into it."""
        return self._directory / container_id

    def start(self, container: Container) -> Started:
        """Run the container's process. Nothing is left of an attempt that fails.

        Raises `CommandUnusable`, `PortInUse`, `RuntimeFailed`, `InvalidParameter`, `EngineFault`, in Docker's words.
        """
        try:
            return self._start(container)
        except OSError as error:
            kind = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else EngineFault
            raise kind(f"container {container.name} cannot be started: {error}") from error

    def _start(self, container: Container) -> Started:
        with ExitStack() as undo:
            linked = self.links.of(container)
            joined = self.joiner.join(container)
            undo.callback(self.joiner.leave, container)
            network: Future[Sandbox] = Future()
            if joined.network_of is None:
                # The network takes as long as all the rest before the runtime: one thread makes it meanwhile.
                network = self._executor.submit(self._networks.open, networking.request(container))
                undo.callback(self._networks.release, container.id)
                undo.callback(lambda: network.exception())
            else:
                other = self._networks.sandbox(joined.network_of.id)
                if other is None:
                    raise Conflict(f"container {joined.network_of.short_id} has lost its network: restart it")
                network.set_result(Sandbox(container_id=other.container_id, netns=other.netns))
            undo.callback(self._snapshots.unmount, container.id)
            undo.callback(self.mounts.release, container)
            rootfs = self._snapshots.mount(container.id)
            prepare = self._prepared(container, rootfs, joined, linked)
            try:
                sandbox = network.result()
            except PortInUse as error:
                raise PortInUse(
                    f"driver failed programming external connectivity on endpoint {container.name} "
                    f"({container.id}): {error}"
                ) from error
            if joined.network_of is None:
                self._write_files(container, sandbox, linked)
            spec = runtime_spec(container, prepare(sandbox))
            bundle = self.bundle(container.id)
            (bundle / "config.json").write_text(json.dumps(self._filters.applied(spec)), encoding="utf-8")
            # crun leaves them where it cannot write one of their limits, and a process in them when it is killed.
            undo.callback(cgroup.clear, container.control_group(self._cgroup_parent))
            # Named by a container that was killed with its daemon, a runtime's state or monitor would be in the way.
            undo.callback(self._forget, container.id)
            log_path = Path(container.log_path) if container.host.log.driver != "none" else None
            if log_path is not None:
                logfile.mend(log_path)
            try:
                monitor = self._monitors.launch(
                    container_id=container.id,
                    bundle=bundle,
                    log_path=log_path,
                    tty=container.config.tty,
                    stdin=container.config.open_stdin,
                    stdin_once=container.config.stdin_once,
                )
                self._filters.learn(spec, container.id)
                self._attachments.connect(monitor)
                self._runtime.start(container.id)
            except CommandUnusable as error:
                raise CommandUnusable(_CREATE_FAILED + str(error), exit_code=error.exit_code) from error
            except RuntimeFailed as error:
                raise RuntimeFailed(_CREATE_FAILED + str(error)) from error
            undo.pop_all()
            return Started(monitor=monitor, sandbox=sandbox)

    def take_down(self, container: Container) -> None:
        """Remove everything that a start made, of a container that has ended. May be repeated."""
        network = self._executor.submit(self._networks.release, container.id)
        try:
            self._forget(container.id)
            cgroup.clear(container.control_group(self._cgroup_parent))
            self._snapshots.unmount(container.id)
            self.mounts.release(container)
            self.joiner.leave(container)
        finally:
            network.result()

    def _forget(self, container_id: str) -> None:
        if container_id in self._runtime.ids():
            self._runtime.delete(container_id)
        self._monitors.remove(container_id)

    def _prepared(
        self, container: Container, rootfs: Path, joined: Joined, linked: Sequence[Linked]
    ) -> Callable[[Sandbox], Prepared]:
        """What does not need the network: identity, working directory, mounts, devices; the rest when it is there."""
        host = container.host
        with paths.opened_root(rootfs) as root:
            identity = users.resolve(root, container.config.user, group_add=host.group_add)
            mounts = self.mounts.ready(container, root)
            make_working_dir(root, container.config.working_dir)
            for place in host.tmpfs:
                make_place_of_tmpfs(root, place)
        granted = capabilities.effective(
            add=host.cap_add, drop=host.cap_drop, privileged=host.privileged, held=self._held
        )
        # Who joins another's network has its name and addresses as well.
        files_of = self.bundle((joined.network_of or container).id)

        def finish(sandbox: Sandbox) -> Prepared:
            return Prepared(
                rootfs=rootfs,
                netns=sandbox.netns,
                files={f"/etc/{name}": files_of / name for name in ("hosts", "hostname", "resolv.conf")},
                identity=identity,
                capabilities=granted,
                cgroups_path=f"/{container.control_group(self._cgroup_parent)}",
                cgroup_version=cgroup.version(),
                init=find_init() if host.init else None,
                mounts=mounts,
                joined=joined.namespaces,
                shared_memory=joined.shared_memory,
                devices=devices.nodes(host),
                apparmor=apparmor.profile_of(host),
                link_environment=[line for link in linked for line in link.environment()],
            )

        return finish

    def _write_files(self, container: Container, sandbox: Sandbox, linked: Sequence[Linked]) -> None:
        host = container.host
        resolver = ResolverConfig(
            servers=tuple(ipaddress.ip_address(server) for server in host.dns),
            search=host.dns_search,
            options=host.dns_options,
        )
        texts: Mapping[str, str] = {
            "hostname": container.config.hostname + "\n",
            "hosts": files.hosts(
                hostname=container.config.hostname,
                domainname=container.config.domainname,
                addresses=[address.ip for endpoint in sandbox.endpoints for address in endpoint.addresses],
                gateway=next((each.gateway for each in sandbox.endpoints if each.gateway is not None), None),
                extra=host.extra_hosts,
                linked=[link.hosts_line for link in linked],
                share_host=sandbox.netns is None,
            ),
            "resolv.conf": files.resolv_conf(
                resolver, share_host=sandbox.netns is None, embedded=has_resolver(sandbox.endpoints)
            ),
        }
        bundle = self.bundle(container.id)
        for name, text in texts.items():
            (bundle / name).write_text(text, encoding="utf-8")


def find_init() -> Path:
    """The small init program of this host, for `--init`."""
    for name in _INITS:
        found = shutil.which(
            name, path="/usr/libexec/docker:/usr/bin:/usr/local/bin:/usr/libexec/catatonit:/usr/libexec/podman"
        )
        if found:
            return Path(found)
    raise EngineFault("no init program on this host for --init: install the package tini")
