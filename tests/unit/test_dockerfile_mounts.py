"""RUN's mounts, and EXPOSE's ports."""

from __future__ import annotations

import pytest

from engine.build.dockerfile.errors import Mistake
from engine.build.dockerfile.mounts import MountKind, RunMount, Sharing, mount_origin, parse_mount
from engine.build.dockerfile.parser import parse_line
from engine.build.dockerfile.ports import exposed, names


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("target=/a", RunMount(target="/a")),
        ("type=bind,from=base,src=b,dst=/a,rw", RunMount(from_="base", source="b", target="/a", read_only=False)),
        ("target=/a,readonly=false", RunMount(target="/a", read_only=False)),
        ("target=/a,rw=false", RunMount(target="/a")),
        ('"target=/a,b"', RunMount(target="/a,b")),
        ("TYPE=Cache,Target=/c", RunMount(kind=MountKind.CACHE, target="/c", read_only=False)),
        (
            "type=cache,destination=/c,id=x,sharing=locked,mode=0750,uid=1,gid=2,ro",
            RunMount(
                kind=MountKind.CACHE, target="/c", id="x", sharing=Sharing.LOCKED, mode=0o750, uid=1, gid=2,
                read_only=True,
            ),
        ),
        ("type=tmpfs,target=/t,size=1.5g", RunMount(kind=MountKind.TMPFS, target="/t", size=3 << 29, read_only=False)),
        ("type=tmpfs,target=/t,size=64MiB", RunMount(kind=MountKind.TMPFS, target="/t", size=1 << 26, read_only=False)),
        ("type=secret,id=s,required,env=S", RunMount(kind=MountKind.SECRET, id="s", required=True, env="S")),
        ("type=secret,target=/s,required=false", RunMount(kind=MountKind.SECRET, target="/s")),
        ("type=ssh", RunMount(kind=MountKind.SSH)),
    ],
)  # fmt: skip
def test_mounts(text: str, mount: RunMount) -> None:
    assert parse_mount(text) == mount


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=cash,target=/a", r'unsupported mount type "cash" \(did you mean cache\?\)'),
        ("target=/a,form=b", r"unexpected key 'form' in 'form=b' \(did you mean from\?\)"),
        ("target", "invalid field 'target' must be a key=value pair"),
        ("type=bind", "the bind mount has no target"),
        ("target=/a,ro=perhaps", "invalid value for readonly: perhaps"),
        ("target=/a,required", "unexpected key 'required' for mount type 'bind'"),
        ("target=/a,size=1", "unexpected key 'size' for mount type 'bind'"),
        ("target=/a,uid=1", 'uid not allowed for "bind" type mounts'),
        ("target=/a,sharing=locked", "invalid cache sharing set for bind mount"),
        ("type=cache,target=/a,sharing=lock", r'unsupported sharing value "lock" \(did you mean locked\?\)'),
        ("type=cache,target=/a,mode=999", "invalid value 999 for mode"),
        ("type=cache,target=/a,uid=-1", "invalid value -1 for uid"),
        ("type=tmpfs,target=/a,size=much", "invalid value for size: much"),
        ("type=secret", "one of source, target required"),
        ("type=secret,id=a,source=b", "both source and id can't be set"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("from=$A,target=/a", "'from' doesn't support variable expansion"),
        ('"target=/a', "failed to parse csv mounts"),
    ],
)
def test_what_no_mount_is(text: str, message: str) -> None:
    with pytest.raises(Mistake, match=message):
        parse_mount(text)


def test_variables_wait_for_their_values() -> None:
    parse_line("RUN --mount=type=$T,target=$D,id=$I a")
    values = {"$T": "cache", "$D": "/c", "$I": "i"}
    mount = parse_mount("type=$T,target=$D,id=$I", lambda word: values.get(word, word))
    assert mount == RunMount(kind=MountKind.CACHE, target="/c", id="i", read_only=False)
    assert mount_origin("type=$T,From=base,target=/a") == "base"
    assert mount_origin("type=$T") == ""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["80"], ["80/tcp"]),
        (["53/UDP", "53"], ["53/udp", "53/tcp"]),
        (["8000-8002/sctp"], ["8000/sctp", "8001/sctp", "8002/sctp"]),
        (["80", "80/tcp"], ["80/tcp"]),
        (["127.0.0.1:8080:80"], ["80/tcp"]),
        (["[::1]:8080:80"], ["80/tcp"]),
        (["8080:80"], ["80/tcp"]),
        (["0"], ["0/tcp"]),
        (["80/"], ["80/tcp"]),
    ],
)
def test_ports(words: list[str], found: list[str]) -> None:
    assert list(names(exposed(words))) == found
    assert exposed(words)[0].mapped == (":" in words[0])


@pytest.mark.parametrize("word", ["", "/tcp", "x", "80-", "-80", "65536", "80-70", "٨٠"])
def test_what_no_port_is(word: str) -> None:
    with pytest.raises(Mistake, match="invalid"):
        exposed([word])
