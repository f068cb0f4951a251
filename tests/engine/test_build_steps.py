"""What steps of a build do, by an engine in the test's own process. Most checks are commands of the Dockerfile."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import os
import tarfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from engine.build.dockerfile.errors import DockerfileError
from engine.build.dockerfile.mounts import parse_mount
from engine.build.errors import CommandFailed
from engine.build.guard import DiskLimits
from engine.build.progress import Event, Output
from engine.build.trees import Tree
from engine.containers.options import HostConfig, Ulimit
from engine.engine import Engine
from engine.errors import Cancelled, EngineError, InvalidParameter, StorageFull
from engine.registry.reference import Reference
from engine.snapshots.packing import pack_directory
from engine.types import Digest
from tests.fixtures.builds import Told, build, context_of, link_to
from tests.fixtures.engine_host import EngineHost
from tests.fixtures.raw_tar import END, member, symlink
from tests.fixtures.web import served


@pytest.fixture(autouse=True)
def nothing_stays(engine: Engine, host: EngineHost) -> Iterator[None]:
    yield
    assert not list((host.config.root / "builds").iterdir())
    assert not list((host.config.run / "builds").iterdir())
    assert not host.processes(engine)
    deadline = time.monotonic() + 30
    while traces := {name: found for name, found in host.traces().items() if name != "containers"}:
        assert time.monotonic() < deadline, traces
        time.sleep(0.02)
    layers = host.config.root / "layers"
    assert not [entry.name for entry in layers.iterdir() if entry.name.startswith("tmp-")]


def config(engine: Engine, image: Digest) -> dict[str, object]:
    found: dict[str, object] = json.loads(engine.images.raw_config(image))["config"]
    return found


def test_copy_link_parents_exclude_and_chmod(engine: Engine) -> None:
    files = {"a/b/c.txt": "1", "a/b/d.md": "2", "a/e.txt": "3", "top.txt": "4"}
    build(
        engine,
        """FROM box
RUN mkdir /real && ln -s /real /lnk
COPY --link a/e.txt /lnk/in
COPY --parents a/b/*.txt a/e.txt /parents/
COPY --parents ./a/./b/c.txt /pivot/
COPY --exclude=**/*.md --exclude=b/c.txt a /excluded/
COPY --chmod=751 top.txt /mode
COPY --chmod=u=rwX,go= a /modes/
COPY --chown=ada:staff top.txt /owned
COPY --chown=ada top.txt /ada
RUN test -d /lnk -a ! -L /lnk && test "$(cat /lnk/in)" = 3
RUN test "$(cat /parents/a/b/c.txt /parents/a/e.txt)" = 13 && test ! -e /parents/a/b/d.md
RUN test "$(cat /pivot/b/c.txt)" = 1 && test ! -e /pivot/a
RUN test -e /excluded/e.txt -a -d /excluded/b && test ! -e /excluded/b/c.txt -a ! -e /excluded/b/d.md
RUN test "$(stat -c %a /mode)" = 751 && test "$(stat -c %a /modes/b /modes/e.txt | head -c 7)" = "$(echo 700; echo 600)"
RUN test "$(stat -c %u:%g /owned)" = 1000:50 && test "$(stat -c %u:%g /ada)" = 1000:1001
""",
        files,
    )


def test_here_documents(engine: Engine) -> None:
    told = Told()
    lines = (
        *("FROM box", "ENV WHO=world"),
        *('COPY <<one <<"two" /docs/', "hello $WHO", "one", "hello $WHO", "two"),
        *("""RUN test "$(cat /docs/one)" = "hello world" && test "$(cat /docs/two)" = 'hello $WHO'""",),
        *("RUN <<END", "set -e", "a=1", "echo script $a", "END"),
        *("RUN <<END", "#!/bin/cat", "by itself", "END"),
        *("RUN cat <<END > /out && cat <<OTHER >> /out", "first $WHO", "END", "second", "OTHER"),
        *("""RUN test "$(cat /out)" = "$(echo first world; echo second)\"""",),
    )
    build(engine, "\n".join(lines) + "\n", told=told)
    assert told.output(5) == "script 1\n"
    assert told.output(6) == "#!/bin/cat\nby itself\n"


MOUNTS = """FROM box AS other
RUN echo from a stage > /stage
FROM box
RUN --mount=type=bind,source=src,target=/ctx test "$(cat /ctx/f)" = "from the context" && ! touch /ctx/x
RUN --mount=type=bind,source=src,target=/ctx,rw echo new > /ctx/f
RUN --mount=type=bind,source=src/f,target=/one/file test "$(cat /one/file)" = "from the context"
RUN --mount=type=bind,from=other,source=/stage,target=/s test "$(cat /s)" = "from a stage"
RUN --mount=type=tmpfs,target=/mem,size=1m test "$(df /mem | grep -c tmpfs)" = 1 && echo gone > /mem/x
RUN --mount=type=cache,target=/cache,id=numbers,mode=0700 echo 1 >> /cache/n
RUN test ! -e /ctx -a ! -e /one -a ! -e /s -a ! -e /mem -a ! -e /cache
"""


def test_mounts_of_run(engine: Engine) -> None:
    files = {"src/f": "from the context"}
    build(engine, MOUNTS, files)
    told = Told()
    build(engine, "FROM box\nRUN --mount=type=cache,target=/o,id=numbers cat /o/n; stat -c %a /o\n", told=told)
    assert told.output() == "1\n700\n"
    told = Told()
    build(engine, MOUNTS, files, told=told)
    assert told.missed == {}
    with pytest.raises(CommandFailed):
        build(engine, MOUNTS, {"src/f": "changed"}, told=told)
    assert told.missed[4] == "/ctx changed"


def test_a_locked_cache_has_one_user_at_a_time(engine: Engine) -> None:
    one = "RUN --mount=type=cache,target=/c,sharing=locked test ! -e /c/in && touch /c/in && sleep 0.3 && rm /c/in"
    stages = "".join(f"FROM box AS s{n}\n{one} && touch /{n}\n" for n in range(3))
    copies = "".join(f"COPY --from=s{n} /{n} /\n" for n in range(3))
    build(engine, f"{stages}FROM box\n{copies}")


SCOPES = """ARG BASE=box
ARG ABOVE=above
FROM ${BASE} AS one
RUN test -z "$ABOVE" -a "$http_proxy" = p
ARG ABOVE
ARG OWN=own
ENV OWN=env
RUN test "$ABOVE $OWN" = "above env"
FROM one
RUN test "$ABOVE" = above
ARG TARGETARCH
RUN test -n "$TARGETARCH"
"""


def test_arguments_have_their_scope(engine: Engine) -> None:
    build(engine, SCOPES, arguments={"http_proxy": "p", "unused": "x"})
    first, second = Told(), Told()
    build(engine, "FROM box\nRUN env\n", arguments={"http_proxy": "p"}, told=first)
    assert "http_proxy=p" in first.output()
    build(engine, "FROM box\nRUN env\n", arguments={"http_proxy": "q"}, told=second)
    assert second.missed == {}


def test_stages_may_begin_a_cache_at_the_same_moment(engine: Engine) -> None:
    """Both find that it is not there yet, and fill it."""
    meeting = threading.Barrier(2, timeout=20)
    mount = parse_mount("type=cache,target=/c,id=begun-at-once,from=box,source=/etc")
    rootfs = engine.layers.diff(engine.images.get("box").diff_ids[0])

    def origin(_name: str) -> Tree:
        meeting.wait()
        return tree

    def begin() -> list[str]:
        with engine.builds.mounts.lent(mount, "/c", origins=origin, check=lambda: None) as directory:
            return sorted(path.name for path in directory.iterdir())

    tree = Tree(rootfs)
    try:
        with ThreadPoolExecutor(2) as pool:
            found = [future.result() for future in (pool.submit(begin), pool.submit(begin))]
    finally:
        tree.close()
    assert found == [["group", "passwd", "plain"]] * 2
    kept = {entry.id for entry in engine.builds.mounts.all()}
    assert {path.name for path in engine.builds.mounts._root.iterdir()} == kept, "nothing half made"


@pytest.mark.parametrize(
    ("line", "words", "carets"),
    [
        ("ENV A=${X:?needed}", "X: needed", "^^^^^"),
        ("COPY f ${X@Q}", "unsupported modifier", "^^^^"),
        ("WORKDIR ${X", "missing '}'", "^^^"),
        ("RUN --mount=type=cache,target=${X?} true", "X: is not allowed to be unset", "^^^^"),
    ],
)
def test_a_variable_that_cannot_be_expanded_is_shown(engine: Engine, line: str, words: str, carets: str) -> None:
    with pytest.raises(DockerfileError, match="on line 3: ") as raised:
        build(engine, f"FROM box\n\n{line}\n", {"f": ""})
    assert words in str(raised.value)
    shown, pointed = raised.value.excerpt.splitlines()
    assert shown == f"3 | {line}"
    assert pointed.strip("| ") == carets


def test_a_trigger_that_cannot_be_expanded_is_named(engine: Engine) -> None:
    build(engine, "FROM box\nONBUILD ENV A=${X:?needed}\n", references=(Reference.parse("trigger:latest"),))
    with pytest.raises(InvalidParameter, match=r"^ONBUILD ENV A=\$\{X:\?needed\}: X: needed$"):
        build(engine, "FROM trigger\n")


def test_triggers_run_in_the_image_that_is_built_on_theirs(engine: Engine) -> None:
    parent = build(engine, "FROM box\nONBUILD COPY f /f\nONBUILD RUN cat /f > /g\n")
    engine.images.tag(str(parent), Reference.parse("parent:1"))
    told = Told()
    image = build(engine, 'FROM parent:1\nRUN test "$(cat /g)" = 1\n', {"f": "1"}, told=told)
    assert told.notes == ["# Executing 2 build triggers"]
    assert not config(engine, image).get("OnBuild")


def test_what_a_command_writes_into_a_volume_is_not_kept(engine: Engine) -> None:
    build(
        engine,
        "FROM box\nRUN mkdir /v && echo kept > /v/a\nVOLUME /v\nRUN cat /v/a && echo lost > /v/b\nCOPY f /v/c\n"
        "RUN test ! -e /v/b -a -e /v/a -a -e /v/c\n",
        {"f": "1"},
    )


def test_limits_hosts_and_networks_of_commands(engine: Engine) -> None:
    told = Told()
    host = HostConfig(
        shm_size=3 << 20,
        extra_hosts=("far.example:10.1.2.3",),
        ulimits=(Ulimit(name="nofile", soft=77, hard=77),),
        memory=32 << 20,
    )
    build(
        engine,
        "FROM box\nRUN grep far.example /etc/hosts; ulimit -n; df -k /dev/shm\n"
        "RUN --network=none cat /proc/net/dev\nRUN cat /proc/net/dev\n",
        host=host,
        told=told,
    )
    assert told.output(2).splitlines()[:2] == ["10.1.2.3\tfar.example", "77"]
    assert " 3072 " in told.output(2)
    assert "eth0" not in told.output(3)
    assert "eth0" in told.output(4)
    with pytest.raises(CommandFailed) as failure:
        build(engine, "FROM box\nRUN head -c 200000000 /dev/zero | grep -a x\n", host=host)
    assert failure.value.code


def test_a_dockerfile_does_not_take_the_hosts_network(engine: Engine) -> None:
    own = Path("/proc/self/ns/net").readlink()
    shown = "RUN{} readlink /proc/self/ns/net"
    build(engine, "FROM box AS parent\nONBUILD RUN --network=host true\n", references=(Reference.parse("sly"),))
    for dockerfile in ("FROM box\n" + shown.format(" --network=host"), "FROM sly\n"):
        with pytest.raises(InvalidParameter, match="--network=host is not allowed"):
            build(engine, dockerfile)
    host_network = engine.networks.get("host").id
    with pytest.raises(InvalidParameter, match="the host's own network"):
        build(engine, "FROM box\n" + shown.format(""), network=host_network)
    for dockerfile in ("FROM box\n" + shown.format(" --network=host"), "FROM box\n" + shown.format("")):
        told = Told()
        build(engine, dockerfile, told=told, network="host", no_cache=True)
        assert str(own) in told.output()


def test_a_command_has_no_more_processes_than_it_may(engine: Engine) -> None:
    told = Told()
    command = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 50 & done; echo all"
    with pytest.raises(CommandFailed):
        build(engine, f"FROM box\nRUN {command}\n", host=HostConfig(pids_limit=10), told=told)
    assert "all" not in told.output()


def test_archives_are_unpacked_by_add_and_not_by_copy(engine: Engine) -> None:
    archive = context_of({"in/file": "1"})
    files = {"a.tar": archive, "b.tgz": gzip.compress(archive), "c.gz": gzip.compress(b"not a tar")}
    build(
        engine,
        "FROM box\nADD a.tar b.tgz c.gz /x/\nCOPY a.tar /y/\nADD --unpack=false a.tar /z/\n"
        "RUN test -e /x/in/file -a -e /x/c.gz -a ! -e /x/a.tar -a -e /y/a.tar -a -e /z/a.tar\n",
        files,
    )


def test_an_archive_cannot_leave_the_tree(engine: Engine, host: EngineHost) -> None:
    hostile = symlink(b"way", bytes(host.directory)) + member(b"way/out", content=b"x") + END
    with pytest.raises(InvalidParameter, match="is in the way"):
        build(engine, "FROM box\nADD a.tar /\n", {"a.tar": hostile})
    assert not (host.directory / "out").exists()


@pytest.mark.parametrize("source", ["../secret", "/../../secret", "link", "sub/link2", "s*/li*"])
def test_copy_cannot_leave_the_context(engine: Engine, host: EngineHost, source: str) -> None:
    secret = host.directory / "secret"
    secret.write_text("secret")
    files = {"link": link_to(str(secret)), "sub/link2": link_to(f"../../..{secret}"), "x": ""}
    with pytest.raises(InvalidParameter, match="COPY failed"):
        build(engine, f"FROM box\nCOPY {source} /taken\n", files)


def test_copy_cannot_leave_the_image(engine: Engine, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("safe")
    build(
        engine,
        f"FROM box\nRUN mkdir -p {tmp_path} /up && touch {victim} && ln -s {victim} /way && ln -s {tmp_path} /dir\n"
        "COPY f /way\nCOPY f /dir/victim\nCOPY f /up/../../../dir/victim\nWORKDIR /dir/deep/down\n"
        f'RUN test "$(cat {victim})" = overwritten -a -d {tmp_path}/deep/down\n',
        {"f": "overwritten"},
    )
    assert victim.read_text() == "safe"
    assert not (tmp_path / "deep").exists()


def test_stages_that_do_not_need_each_other_run_at_once(engine: Engine) -> None:
    meet = "RUN --mount=type=cache,target=/m touch /m/{1}; until test -e /m/{0}; do sleep 0.05; done"
    build(
        engine,
        f"FROM box AS a\n{meet.format('b', 'a')}\nFROM box AS b\n{meet.format('a', 'b')}\n"
        "FROM box\nCOPY --from=a /etc/passwd /a\nCOPY --from=b /etc/passwd /b\n",
    )


@pytest.mark.parametrize(
    "dockerfile",
    [
        "FROM box AS a\nCOPY --from=a /x /\n",
        "FROM box AS a\nCOPY --from=b /x /\nFROM box AS b\nCOPY --from=a /x /\n",
        "FROM box\nCOPY --from=0 /x /\n",
        "FROM box\nRUN --mount=type=bind,from=0,target=/x true\n",
    ],
)
def test_a_circle_of_stages_is_refused(engine: Engine, dockerfile: str) -> None:
    told = Told()
    with pytest.raises(DockerfileError, match=r"on line 2: .*circular dependency") as raised:
        build(engine, dockerfile, target="0", told=told)
    assert "^^^^^^" in raised.value.excerpt
    assert told.events == []


def test_the_same_sources_and_time_make_the_same_image(engine: Engine) -> None:
    dockerfile = "FROM box\nRUN echo $HOSTNAME > /name && mkdir /d && touch /d/f\nCOPY f /f\nWORKDIR /w\nCMD true\n"
    options = {"no_cache": True, "arguments": {"SOURCE_DATE_EPOCH": "1000000000"}}
    first = build(engine, dockerfile, {"f": "1"}, **options)
    time.sleep(1.1)  # the times of files are whole seconds
    assert build(engine, dockerfile, {"f": "1"}, **options) == first
    assert build(engine, dockerfile, {"f": "1"}, no_cache=True) != first
    with pytest.raises(InvalidParameter, match="SOURCE_DATE_EPOCH"):
        build(engine, dockerfile, {"f": "1"}, arguments={"SOURCE_DATE_EPOCH": "yesterday"})


def test_a_files_time_is_no_reason_to_build_again(engine: Engine) -> None:
    dockerfile = "FROM box\nCOPY f /f\nRUN echo once\n"
    for expected, when in (([], 5), ([2, 3], 6)):
        changed = tarfile.TarInfo()
        changed.mtime = when
        told = Told()
        build(engine, dockerfile, {"f": changed}, told=told)
        assert told.cached == expected


def test_what_else_is_known_of_a_file_is_a_reason_to_build_again(engine: Engine) -> None:
    """Its mode always, its owner where that is kept, what a link leads to; not the owner of a context's file."""
    dockerfile = "FROM box AS a\nCOPY . /all\nFROM box\nCOPY --from=a /all /kept\n"

    def missed(**changes: object) -> set[int]:
        file, link = tarfile.TarInfo(), link_to("f")
        for name, value in changes.items():
            setattr(link if name == "linkname" else file, name, value)
        told = Told()
        build(engine, dockerfile, {"f": file, "l": link}, told=told)
        return set(told.missed)

    assert missed() == {2, 4}
    assert missed(uid=7) == set()
    assert missed(mode=0o600) == missed(linkname="g") == {2, 4}
    assert missed() == set()


def test_steps_before_a_failure_stay_in_the_cache(engine: Engine) -> None:
    with pytest.raises(CommandFailed):
        build(engine, "FROM box\nRUN echo stays > /f\nRUN exit 1\n")
    told = Told()
    build(engine, "FROM box\nRUN echo stays > /f\nRUN true\n", told=told)
    assert told.cached == [2]


def test_an_image_that_is_removed_takes_its_cache_along(engine: Engine) -> None:
    image = build(engine, "FROM box\nRUN echo goes > /f\n")
    engine.images.remove(str(image), in_use=engine.containers.uses)
    told = Told()
    build(engine, "FROM box\nRUN echo goes > /f\n", told=told)
    assert told.cached == []


def test_a_build_can_be_cancelled_while_it_runs(engine: Engine) -> None:
    told = Told()

    def stop() -> None:
        while not told.output():
            time.sleep(0.01)
        told.cancel.set()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Cancelled):
        build(engine, "FROM box AS a\nRUN sleep 100\nFROM box\nRUN echo on; sleep 100\nCOPY --from=a / /\n", told=told)
    thread.join()


def says_hello(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Last-Modified", "Sat, 03 Feb 2001 04:05:06 GMT")
    request.end_headers()
    request.wfile.write(b"hello")


def test_files_of_the_web_are_added(engine: Engine) -> None:
    digest = hashlib.sha256(b"hello").hexdigest()
    with served(says_hello) as port:
        url = f"http://127.0.0.1:{port}/name.txt"
        dockerfile = (
            f"FROM box\nADD {url} /d/\nADD --checksum=sha256:{digest} {url} /as\n"
            'RUN test "$(cat /d/name.txt /as)" = hellohello -a "$(stat -c "%a %Y" /as)" = "600 981173106"\n'
        )
        build(engine, dockerfile)
        told = Told()
        build(engine, dockerfile, told=told)
        assert told.cached == [2, 3, 4]
        with pytest.raises(EngineError, match="ADD failed: digest mismatch"):
            build(engine, f"FROM box\nADD --checksum=sha256:{'0' * 64} {url} /as\n")


def test_a_step_may_write_only_so_much(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    machinery = engine.builds._machinery
    monkeypatch.setattr(engine.builds, "_machinery", replace(machinery, disk=DiskLimits(step=1 << 20)))
    build(engine, "FROM box\nRUN head -c 1000000 /dev/zero > /f\n", no_cache=True)
    for command in ("yes > /f", "head -c 1100000 /dev/zero > /f"):
        with pytest.raises(StorageFull, match="HAVRE_BUILD_STEP_SIZE allows 1048576"):
            build(engine, f"FROM box\nRUN {command}\n")
    monkeypatch.setattr(engine.builds, "_machinery", replace(machinery, disk=DiskLimits(free=1 << 60)))
    with pytest.raises(StorageFull, match="HAVRE_BUILD_KEEP_FREE"):
        build(engine, "FROM box\nRUN sleep 50\n")


def test_a_command_that_never_stops_printing_waits_for_its_reader(engine: Engine) -> None:
    """What nobody has read yet is kept by the pipe alone."""
    told = Told()

    class Slow(Told):
        def __call__(self, event: Event) -> None:
            if isinstance(event, Output):
                time.sleep(0.2)
                told.events.append(event)
                if len(told.events) == 5:
                    self.cancel.set()

    with pytest.raises(Cancelled):
        build(engine, "FROM box\nRUN yes\n", told=Slow())
    assert len(told.output()) <= 6 * 64 * 1024


def test_scratch_has_nothing(engine: Engine) -> None:
    image = build(engine, "FROM scratch\nCOPY f /f\n", {"f": "1"})
    assert len(engine.images.get(str(image)).diff_ids) == 1
    with pytest.raises(InvalidParameter, match="No image was generated"):
        build(engine, "FROM scratch\n")


def test_a_layer_packs_to_what_its_name_says(engine: Engine) -> None:
    """The tar that a push or a save makes of the directory is the one whose hash is the layer's name."""
    made = build(engine, "FROM box\nRUN rm /etc/plain && mkdir /a && touch /a/b && rm -r /home && echo x > /bin/x\n")
    diff_id = engine.images.get(str(made)).diff_ids[-1]
    root = os.open(engine.layers.diff(diff_id), os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert Digest.of(b"".join(pack_directory(root, layer=True))) == diff_id
    finally:
        os.close(root)
