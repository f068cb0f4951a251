"""Images whose config wants to harm: each is refused, or its container is made and runs like any other."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import Any, Final

import pytest

from tests.fixtures.daemons import HavreDaemon
from tests.fixtures.racing import Caller
from tests.fixtures.tars import tar_of

SLEEP: Final = ["sleep", "60"]
CONFIGS: Final[dict[str, dict[str, Any]]] = {
    "a large environment": {"Env": [f"V{number}={'x' * 1000}" for number in range(3000)]},
    "an environment larger than execve takes": {"Env": [f"V{number}={'x' * 100_000}" for number in range(40)]},
    "a variable without a name": {"Env": ["=x", "", "A", "\n=\n", "A=\x1b[2J"]},
    "a NUL in the environment": {"Env": ["A=a\0b"]},
    "half a pair in the environment": {"Env": ["A=\ud800"]},
    "an entrypoint of 3 MB": {"Entrypoint": ["sleep", "x" * 3_000_000]},
    "a NUL in the command": {"Cmd": ["sleep", "6\0"]},
    "a user with a line end": {"User": "root\nx"},
    "a user that is a path": {"User": "../../etc/passwd"},
    "a user that is too large": {"User": "99999999999999999999"},
    "a user that is negative": {"User": "-1:-1"},
    "a user with a NUL": {"User": "a\0"},
    "a working directory above": {"WorkingDir": "/../../../../tmp/havre-hostile"},
    "a working directory that is relative": {"WorkingDir": "../../../tmp/havre-hostile"},
    "a working directory in proc": {"WorkingDir": "/proc/self/fd/7"},
    "a working directory of the runtime's": {"WorkingDir": "//proc//self/./fd/8/../.."},
    "a long working directory": {"WorkingDir": "/d" * 3000},
    "a working directory with a NUL": {"WorkingDir": "/a\0b"},
    "half a pair as a working directory": {"WorkingDir": "/\ud800"},
    "volumes above": {"Volumes": {"/../../tmp/havre-hostile": {}, "../x": {}, "/": {}, "": {}, ".": {}}},
    "volumes in proc and sys": {"Volumes": {"/proc": {}, "/sys": {}, "/proc/1": {}, "/dev/pts": {}}},
    "a volume with a NUL": {"Volumes": {"/a\0b": {}}},
    "half a pair as a volume": {"Volumes": {"/\ud800": {}}},
    "a long volume": {"Volumes": {"/" + "v" * 5000: {}}},
    "a volume with a comma, a colon and a line end": {"Volumes": {"/a,b:c\nd": {}}},
    "a thousand volumes in one place": {"Volumes": {f"/v/{'./' * number}": {} for number in range(1000)}},
    "ports that are none": {"ExposedPorts": {"99999999/tcp": {}, "-1": {}, "x/y": {}, "": {}, "1-65535/tcp": {}}},
    "labels as text": {"Labels": {"<script>": "\x1b]0;x\x07", "a\nb": "\r\n", "": "", "n\0": "\0"}},
    "half a pair as a label": {"Labels": {"\ud800": "\udfff"}},
    "a signal that is none": {"StopSignal": "SIGFOO"},
    "a signal of many digits": {"StopSignal": "9" * 30},
    "a health check that never ends": {"Healthcheck": {"Test": ["CMD", "sleep", "1"], "Interval": 1 << 70}},
    "a health check below zero": {"Healthcheck": {"Test": ["CMD-SHELL"], "Interval": -5, "Retries": -9, "Timeout": 1}},
    "a health check of another kind": {"Healthcheck": {"Test": ["FOO", "x\0"], "Retries": 1 << 80}},
    "a shell of nothing": {"Shell": [""], "OnBuild": ["RUN x\nUSER 0"]},
}


@pytest.fixture(scope="module")
def call(havre: HavreDaemon) -> Caller:
    havre.docker("pull", "-q", "busybox")
    return Caller(havre.socket)


@pytest.mark.parametrize("what", CONFIGS)
def test_a_hostile_config_harms_nobody(havre: HavreDaemon, call: Caller, what: str) -> None:
    call.answers.clear()
    begun = havre.process.log.stat().st_size
    loaded = call("POST", "/images/load", data=with_config(call, {"Cmd": SLEEP, **CONFIGS[what]}))
    assert loaded.status == 200, loaded
    if b'"error"' not in loaded.body:
        made = call("POST", "/containers/create", body={"Image": "hostile"}, name="hostile")
        if made.ok:
            started = call("POST", "/containers/hostile/start")
            assert started.status in (204, 400, 500), started
            if started.status == 500:
                # The runtime's or the kernel's no, in their words: dockerd's status too.
                assert b"OCI runtime create failed" in started.body, started
                call.answers.remove(started)
            for path in ("/containers/hostile/json", "/containers/json?all=1"):
                assert call("GET", path.partition("?")[0], all=1).ok
    for path in ("/images/hostile/json", "/images/hostile/history", "/images/json", "/system/df"):
        call("GET", path)
    call("DELETE", "/containers/hostile", force=1, v=1)
    call("DELETE", "/images/hostile", force=1)
    assert not call.faults(), "\n".join(call.faults())
    log = havre.process.log.read_bytes()[begun:].decode(errors="replace")
    assert "Traceback" not in log, log[-3000:]
    assert not call("GET", "/volumes").document["Volumes"]


def with_config(call: Caller, config: dict[str, Any]) -> bytes:
    """An archive of busybox's layers with another *config*, called `hostile`."""
    saved = call("GET", "/images/busybox/get").body
    with tarfile.open(fileobj=io.BytesIO(saved)) as opened:

        def read(name: str) -> bytes:
            file = opened.extractfile(name)
            assert file is not None
            return file.read()

        [entry] = json.loads(read("manifest.json"))
        document = json.loads(read(entry["Config"])) | {"config": config}
        layers = {name: read(name) for name in entry["Layers"]}
    data = json.dumps(document).encode()
    name = f"{hashlib.sha256(data).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": ["hostile:latest"], "Layers": list(layers)}]).encode()
    return tar_of({name: data, **layers, "manifest.json": manifest})
