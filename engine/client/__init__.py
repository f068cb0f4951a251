"""What webui uses to talk to a Docker-compatible endpoint: Havre's engine, a stock dockerd, Podman.

Calls are synchronous (threads may share one `Client`), streams are asyncio (`AsyncClient`, one per event loop). Answers
are frozen dataclasses (`engine.client.model`), errors are `ClientError` and its children (`engine.client.errors`),
whose text is the endpoint's own sentence.

    with Client("unix:///run/havre/engine.sock", timeout=30) as client:
        client.ping(); client.version(); client.info()
        client.past_events(since=datetime)                                # list[Event]
        client.containers(all=True, filters={"label": ["app=web"]})       # list[ContainerSummary]
        client.container("web")                                           # ContainerDetail, .raw is inspect's JSON
        # Every option has a field; `recreate` makes such a request of a container that is there.
        identifier = client.create(CreateContainer(image="debian", name="web", cmd=("bash",), tty=True, open_stdin=True,
            ports=(Port(container_port=80, host_port=8080),), binds=(BindMount(source="/srv", target="/data"),)))
        client.start(identifier); client.stop(identifier, timeout=5); client.restart(identifier)
        client.kill(identifier, signal="SIGHUP"); client.rename(…); client.pause(…); client.unpause(…)
        client.wait(identifier); client.remove(identifier, force=True)
        client.images(); client.image("debian"); client.history("debian"); client.tag("debian", "x:1")
        client.remove_image("debian", force=False)                        # list[RemovedImage]
        client.images_usage()                                             # ImagesUsage(images, layers, reclaimable, …)
        client.prune_images(dangling=True)                                # PrunedImages(removed, reclaimed)
        with client.push("host/x:1", auth=Auth(…)) as push: ...           # PullEvents; the last has the digest
        with client.save(["debian", "x:1"]) as chunks: ...                # bytes of an archive
        with client.load(open_file_or_chunks) as lines: ...               # PullEvents: "Loaded image: …"
        client.import_image(open_file, reference="x:1", changes=["CMD x"])  # the id
        client.distribution("host/x:1"); client.check_auth(Auth(…)); client.search("nginx")
        with client.build(BuildRequest(tags=("app:1",)), context=open_tar) as build:
            for event in build:                                           # BuildEvent(kind, step, text, …)
                ...                                                       # build.close() from any thread cancels it
        client.build_cache(); client.prune_builds(); client.cancel_build("id")
        client.networks(); client.network("bridge")                       # NetworkDetail, .members
        identifier = client.create_network(CreateNetwork(name="app", pools=(Subnet(subnet="10.5.0.0/16"),)))
        client.connect("app", "web", aliases=("www",)); client.disconnect("app", "web"); client.remove_network("app")
        client.volumes(); client.volume("data"); client.create_volume("data"); client.volume_sizes()
        client.prune_networks(); client.remove_volume("data")
        client.lint("FROM debian\nCMD x", dockerignore="…")               # LintReport(warnings, error), Havre only
        with client.pull("debian:12", auth=Auth(username="u", password="p")) as pull:
            for event in pull:                                            # PullEvent(status, layer, current, total)
                ...                                                       # pull.close() from any thread cancels it

    async with AsyncClient("unix:///run/havre/engine.sock") as client:
        await client.ping(); await client.container("web")                # ContainerDetail
        async for event in client.events(): ...                           # Event(kind, action, actor, attributes, time)
        async for batch in client.logs("web", tail=1000, follow=True):    # list[LogLine(time, stream, data, partial)]
            ...
        terminal = await client.exec_terminal("web", ["bash"], user="", rows=24, cols=80)
        await terminal.write(b"ls\\n"); await terminal.read()             # b"" at the end
        await terminal.resize(rows=40, cols=120); await terminal.close(); await terminal.exit_code()

To stop an async stream early, close the iterator (`contextlib.aclosing`) or cancel the task that runs it.
"""

from engine.client import container_files, create_body, recreate
from engine.client.builds import (
    Build,
    BuildEvent,
    BuildEventKind,
    BuildRequest,
    BuildStep,
    CacheEntry,
    PrunedBuilds,
)
from engine.client.calls import Client
from engine.client.container_calls import Created
from engine.client.container_files import Directory, DirectoryEntry, PathStat
from engine.client.create import BindMount, CreateContainer, Device, HealthCheck, Ulimit
from engine.client.errors import (
    ClientError,
    Conflict,
    EndpointFault,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotSupported,
    TimedOut,
    Unreachable,
)
from engine.client.images import (
    Distribution,
    Download,
    ImagesUsage,
    ImageUsage,
    Login,
    PrunedImages,
    SearchResult,
    registry_host,
)
from engine.client.lint import LintError, LintReport, LintWarning, Spot, TextEdit
from engine.client.model import (
    Attachment,
    Auth,
    ContainerDetail,
    ContainerState,
    ContainerSummary,
    Death,
    Event,
    FileChange,
    HealthResult,
    HistoryEntry,
    HostInfo,
    ImageDetail,
    ImageSummary,
    Limits,
    LogLine,
    Mount,
    Port,
    ProcessTable,
    PublicOnly,
    PullEvent,
    RemovedImage,
    UsageSample,
    VersionInfo,
)
from engine.client.networks import CreateNetwork, HostRoute, Member, NetworkDetail, NetworkSummary, Subnet
from engine.client.pull import Pull
from engine.client.streams import AsyncClient
from engine.client.terminal import Terminal
from engine.client.volumes import VolumeSummary

__all__ = [
    "AsyncClient",
    "Attachment",
    "Auth",
    "BindMount",
    "Build",
    "BuildEvent",
    "BuildEventKind",
    "BuildRequest",
    "BuildStep",
    "CacheEntry",
    "Client",
    "ClientError",
    "Conflict",
    "ContainerDetail",
    "ContainerState",
    "ContainerSummary",
    "CreateContainer",
    "CreateNetwork",
    "Created",
    "Death",
    "Device",
    "Directory",
    "DirectoryEntry",
    "Distribution",
    "Download",
    "EndpointFault",
    "Event",
    "FileChange",
    "Forbidden",
    "HealthCheck",
    "HealthResult",
    "HistoryEntry",
    "HostInfo",
    "HostRoute",
    "ImageDetail",
    "ImageSummary",
    "ImageUsage",
    "ImagesUsage",
    "InvalidRequest",
    "Limits",
    "LintError",
    "LintReport",
    "LintWarning",
    "LogLine",
    "Login",
    "Member",
    "Mount",
    "NetworkDetail",
    "NetworkSummary",
    "NotFound",
    "NotSupported",
    "PathStat",
    "Port",
    "ProcessTable",
    "PrunedBuilds",
    "PrunedImages",
    "PublicOnly",
    "Pull",
    "PullEvent",
    "RemovedImage",
    "SearchResult",
    "Spot",
    "Subnet",
    "Terminal",
    "TextEdit",
    "TimedOut",
    "Ulimit",
    "Unreachable",
    "UsageSample",
    "VersionInfo",
    "VolumeSummary",
    "container_files",
    "create_body",
    "recreate",
    "registry_host",
]
