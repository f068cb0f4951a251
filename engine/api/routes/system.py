"""The engine itself: ping, version, info, disk usage; and the parts of Docker that are not here."""

from __future__ import annotations

from functools import cache

from aiohttp import web

from engine.api import host_facts, render_build, render_container, render_image, render_volume
from engine.api.call import COMMON_HEADERS, Call, error_answer, json_answer
from engine.api.router import Routes
from engine.containers.model import Status
from engine.errors import NotImplementedHere
from engine.types import now

routes = Routes()

_PING_HEADERS = {
    **COMMON_HEADERS,
    "Builder-Version": "1",
    "Swarm": "inactive",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Content-Type": "text/plain; charset=utf-8",
}
_NO_SWARMS = (
    "this engine has no swarms. Run containers by docker run; those of several hosts meet in a network made by "
    "docker network create -d overlay"
)


@routes.get("/_ping")
async def ping(_call: Call) -> web.Response:
    return web.Response(body=b"OK", headers=_PING_HEADERS)


@routes.add("HEAD", "/_ping")
async def ping_head(_call: Call) -> web.Response:
    return web.Response(headers=_PING_HEADERS)


@routes.get("/version")
async def version(call: Call) -> web.Response:
    return json_answer(await call.workers.quick(host_facts.version))


@routes.get("/info")
async def info(call: Call) -> web.Response:
    engine = call.engine

    def collect() -> dict[str, object]:
        containers = engine.containers.list(all=True)
        counted = host_facts.Counted(
            containers=len(containers),
            running=sum(each.state.status in (Status.RUNNING, Status.RESTARTING) for each in containers),
            paused=sum(each.state.status is Status.PAUSED for each in containers),
            images=len(engine.images.list(all=True)),
        )
        return host_facts.info(engine.config, counted, identity=engine.networks.get("bridge").id)

    return json_answer(await call.workers.quick(collect))


@routes.get("/system/df")
async def disk_usage(call: Call) -> web.Response:
    engine = call.engine

    def collect() -> dict[str, object]:
        usage = engine.images.usage(in_use=engine.containers.uses)
        instant = now()
        by_id = {image.id: image for image in engine.images.list(all=True)}
        users = engine.containers.volume_uses()
        kept = engine.builds.kept()
        named = cache(engine.images.names)
        containers = []
        for container in engine.containers.list(all=True):
            written = engine.snapshots.usage(container.id)
            below = by_id[container.image].size if container.image in by_id else 0
            containers.append(
                render_container.summary(
                    container,
                    now=instant,
                    root=engine.config.root,
                    named=named(container.config.image, container.image),
                )
                | {"SizeRw": written, "SizeRootFs": written + below}
            )
        return {
            "LayersSize": usage.layers,
            "Images": [
                render_image.summary(each.image, version=call.version, containers=each.containers, shared=each.shared)
                for each in usage.images
            ],
            "Containers": containers,
            "Volumes": [
                render_volume.volume(volume)
                | {"UsageData": {"RefCount": len(users.get(volume.name, ())), "Size": engine.volumes.size(volume.name)}}
                for volume in engine.volumes.list()
                if not volume.options  # whose data are elsewhere: dockerd leaves them out, too
            ],
            "BuildCache": [render_build.kept(each) for each in kept],
            "BuilderSize": sum(each.size for each in kept if not each.in_use),
        }

    return json_answer(await call.workers.patient(collect))


@routes.get("/plugins")
async def plugins(_call: Call) -> web.Response:
    return json_answer([])


@routes.get("/plugins/{name*}/json")
async def plugin(call: Call) -> web.Response:
    """`docker inspect NAME` asks here last of all."""
    return error_answer(404, f'plugin "{call.arguments["name"]}" not found')


@routes.get("/swarm")
@routes.post("/swarm/leave")
async def swarm(_call: Call) -> web.Response:
    return error_answer(503, "This node is not part of a swarm")


@routes.post("/swarm/init")
@routes.post("/swarm/join")
async def swarm_of_ones_own(_call: Call) -> web.Response:
    raise NotImplementedHere(_NO_SWARMS)


@routes.get("/services")
@routes.get("/nodes")
@routes.get("/tasks")
@routes.get("/secrets")
@routes.get("/configs")
async def swarm_objects(_call: Call) -> web.Response:
    return error_answer(503, f"This node is not a swarm manager: {_NO_SWARMS}")
