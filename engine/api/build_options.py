"""The parameters of `POST /build` (Docker Engine API, `ImageBuild`)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from engine.api import reach
from engine.api.fields import Fields, decode
from engine.api.query import Query
from engine.build.agent import HEADER as KEYS_HEADER
from engine.build.agent import Key
from engine.build.options import BuildOptions
from engine.build.secrets import HEADER, LARGEST, MOST
from engine.containers.options import HostConfig, Ulimit
from engine.errors import InvalidParameter, NotImplementedHere
from engine.registry.auth import RegistryAuth
from engine.registry.platforms import parse_platform
from engine.registry.reference import Reference

NO_BUILDKIT: Final = (
    "this engine has no BuildKit; its own builder understands the whole language of Dockerfiles: build with "
    "DOCKER_BUILDKIT=0 docker build"
)
_MOST_NAMES = 100
_DEFAULTS = HostConfig()
_SECRET_ID: Final = re.compile(r"[A-Za-z0-9._/-]{1,100}")


def parse(query: Query, *, registries: str, secrets: Sequence[str] = (), keys: Sequence[str] = ()) -> BuildOptions:
    """The options; *registries* is the header X-Registry-Config.

    *secrets* are the headers X-Havre-Secrets, *keys* those of X-Havre-SSH. `InvalidParameter` names what is wrong.
    """
    if query.text("version", "1") not in ("", "1"):
        raise NotImplementedHere(NO_BUILDKIT)
    if query.flag("squash"):
        raise InvalidParameter(
            "squash is only supported with experimental mode: copy from a stage instead (FROM scratch, COPY --from)"
        )
    if query.text("session"):
        raise NotImplementedHere(NO_BUILDKIT)
    if query.text("networkmode").startswith("container:"):
        raise NotImplementedHere(
            "networkmode: a build cannot share the network of a container: make a network and give it to both"
        )
    names = [name for name in query.texts("t") if name]
    if len(names) > _MOST_NAMES:
        raise InvalidParameter(f"t: at most {_MOST_NAMES} names")
    references = tuple(dict.fromkeys(Reference.parse(name) for name in names))
    if any(reference.digest is not None for reference in references):
        raise InvalidParameter("t: a name cannot have a digest: refusing to create a tag with a digest reference")
    return BuildOptions(
        references=references,
        dockerfile=query.text("dockerfile"),
        arguments=_map(query, "buildargs", "build args"),
        labels={name: value or "" for name, value in _map(query, "labels", "labels").items()},
        target=query.text("target"),
        no_cache=query.flag("nocache"),
        cache_from=_list(query, "cachefrom"),
        pull=query.flag("pull"),
        platform=parse_platform(query.text("platform")),
        network=query.text("networkmode") or "default",
        host=_host(query),
        credentials=_credentials(registries),
        secrets=_confided(secrets, header=HEADER),
        keys={name: Key.parse(name, value) for name, value in _confided(keys, header=KEYS_HEADER).items()},
    )


def parse_own(options: BuildOptions, query: Query) -> BuildOptions:
    """*options* with what `POST /havre/v1/build` takes beyond them: `reach` and `registry` (`engine.api.reach`)."""
    public_only, registries = reach.parse(query)
    return replace(options, public_only=public_only, registries=registries)


def _confided(headers: Sequence[str], *, header: str) -> Mapping[str, bytes]:
    """What the headers called *header* hold: `ID=BASE64`, several with commas between them.

    What is wrong is told without any of a value.
    """
    found: dict[str, bytes] = {}
    for field in filter(None, (part.strip() for text in headers for part in text.split(","))):
        name, equals, value = field.partition("=")
        if not equals or not _SECRET_ID.fullmatch(name):
            raise InvalidParameter(
                f"{header}: a field is not ID=BASE64; an id has at most 100 letters, digits, '.', '_', '/' or '-'"
            )
        if name in found:
            raise InvalidParameter(f"{header}: {name} is there twice")
        try:
            found[name] = base64.b64decode(value, altchars=b"-_" if set(value) & {"-", "_"} else None, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidParameter(f"{header}: {name} is no base64") from None
    if len(found) > MOST or sum(map(len, found.values())) > LARGEST:
        raise InvalidParameter(f"{header}: more than {MOST} secrets, or than {LARGEST} bytes of them all")
    return found


def _host(query: Query) -> HostConfig:
    memory_swap = query.integer("memswap") or 0
    return HostConfig(
        memory=_amount(query, "memory"),
        memory_swap=memory_swap,
        cpu_shares=_amount(query, "cpushares"),
        cpu_period=_amount(query, "cpuperiod"),
        cpu_quota=query.integer("cpuquota") or 0,
        cpuset_cpus=query.text("cpusetcpus"),
        cpuset_mems=query.text("cpusetmems"),
        cgroup_parent=_parent(query.text("cgroupparent")),
        shm_size=_amount(query, "shmsize") or _DEFAULTS.shm_size,
        extra_hosts=tuple(host for text in query.texts("extrahosts") for host in text.split(",") if host),
        ulimits=tuple(_ulimit(each) for each in _objects(query, "ulimits")),
    )


def _amount(query: Query, name: str) -> int:
    value = query.integer(name) or 0
    if value < 0:
        raise InvalidParameter(f"{name}: must not be negative, got {value}")
    return value


def _parent(text: str) -> str:
    if ".." in text.split("/"):
        raise InvalidParameter(f"cgroupparent: must not lead upwards, got {text[:100]!r}")
    return text


def _ulimit(fields: Fields) -> Ulimit:
    return Ulimit(name=fields.text("Name").lower(), soft=fields.integer("Soft"), hard=fields.integer("Hard"))


def _objects(query: Query, name: str) -> list[Fields]:
    text = query.text(name)
    document = decode(text.encode()) if text else None
    if document is None:
        return []
    if not isinstance(document, list):
        raise InvalidParameter(f"{name}: expected a list of objects")
    return [Fields(each, f"{name}[{number}]") for number, each in enumerate(document)]


def _map(query: Query, name: str, noun: str) -> Mapping[str, str | None]:
    text = query.text(name)
    if not text:
        return {}
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidParameter(f"error reading {noun}: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(value, str | None) for value in document.values()):
        raise InvalidParameter(f"error reading {noun}: expected an object of strings in {name}")
    return document


def _list(query: Query, name: str) -> tuple[str, ...]:
    text = query.text(name)
    document = decode(text.encode()) if text else None
    if document is None:
        return ()
    if not isinstance(document, list) or not all(isinstance(each, str) for each in document):
        raise InvalidParameter(f"{name}: expected a list of strings")
    return tuple(document)


def _credentials(header: str) -> Mapping[str, RegistryAuth]:
    """X-Registry-Config: base64url JSON, a map from the registry to what `X-Registry-Auth` has for one."""
    if not header.strip():
        return {}
    try:
        document = json.loads(base64.b64decode(header.strip() + "=" * (-len(header.strip()) % 4), altchars=b"-_"))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InvalidParameter(f"invalid X-Registry-Config header: {error}") from error
    if not isinstance(document, dict):
        raise InvalidParameter("invalid X-Registry-Config header: expected a JSON object")
    found = {}
    for name, values in document.items():
        auth = RegistryAuth.from_header(base64.urlsafe_b64encode(json.dumps(values).encode()).decode("ascii"))
        if auth is not None:
            found[name] = auth
    return found
