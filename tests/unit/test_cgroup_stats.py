"""What control groups use, read from trees like those of the kernel: version 1 and version 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.kernel import cgroup
from engine.kernel.cgroup_stats import Transfer, interfaces, pids, system_cpu_time, usage


@pytest.fixture(autouse=True)
def _no_memory_of_other_trees() -> None:
    cgroup.version.cache_clear()
    cgroup.has_file.cache_clear()


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_version_2(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "cgroup.controllers": "cpu memory pids io\n",
            "h/c/cpu.stat": "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_throttled 2\nthrottled_usec 7\n",
            "h/c/memory.current": "4096\n",
            "h/c/memory.max": "max\n",
            "h/c/memory.peak": "8192\n",
            "h/c/memory.stat": "anon 1024\ninactive_file 2048\n",
            "h/c/memory.events": "oom 1\noom_kill 3\n",
            "h/c/pids.current": "5\n",
            "h/c/pids.max": "100\n",
            "h/c/io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0\n253:1\n",
            "h/c/cgroup.procs": "7\n9\n",
            "h/c/below/cgroup.procs": "8\n",
            "h/c/cgroup.freeze": "1\n",
        },
    )
    found = usage("h/c", root)
    assert (found.cpu_total, found.cpu_user, found.cpu_kernel) == (1_500_000, 1_000_000, 500_000)
    assert (found.throttled_periods, found.throttled_time) == (2, 7000)
    assert (found.memory, found.memory_limit, found.memory_details["inactive_file"]) == (4096, 0, 2048)
    assert (found.pids, found.pids_limit) == (5, 100)
    assert found.transferred == [
        Transfer(major=8, minor=0, operation="read", value=10),
        Transfer(major=8, minor=0, operation="write", value=20),
    ]
    assert pids("h/c", root) == [7, 8, 9]
    assert cgroup.frozen("h/c", root)
    assert (found.memory_peak, found.oom_kills) == (8192, 3)


def test_version_1(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "cpuacct/h/c/cpuacct.usage": "1500\n",
            "cpuacct/h/c/cpuacct.usage_percpu": "1000 500 \n",
            "cpuacct/h/c/cpuacct.stat": "user 3\nsystem 4\n",
            "cpu/h/c/cpu.stat": "nr_periods 9\nnr_throttled 2\nthrottled_time 77\n",
            "memory/h/c/memory.usage_in_bytes": "4096\n",
            "memory/h/c/memory.max_usage_in_bytes": "8192\n",
            "memory/h/c/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/h/c/memory.failcnt": "6\n",
            "memory/h/c/memory.stat": "cache 1\ntotal_inactive_file 2\n",
            "memory/h/c/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
            "pids/h/c/pids.current": "5\n",
            "pids/h/c/pids.max": "max\n",
            "pids/h/c/cgroup.procs": "11\n",
            "blkio/h/c/blkio.bfq.io_service_bytes_recursive": "Total 0\n",
            "blkio/h/c/blkio.throttle.io_service_bytes_recursive": "8:0 Read 10\n8:0 Write 20\nTotal 30\n",
            "freezer/h/c/freezer.state": "FROZEN\n",
        },
    )
    found = usage("h/c", root)
    assert (found.cpu_total, list(found.cpu_each)) == (1500, [1000, 500])
    assert (found.cpu_user, found.cpu_kernel) == (30_000_000, 40_000_000)
    assert (found.memory, found.memory_peak, found.memory_limit, found.memory_failures) == (4096, 8192, 0, 6)
    assert (found.pids, found.pids_limit) == (5, 0)
    assert [(each.operation, each.value) for each in found.transferred] == [("Read", 10), ("Write", 20)]
    assert pids("h/c", root) == [11]
    assert cgroup.frozen("h/c", root)
    assert found.oom_kills == 1


def test_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    found = usage("h/none", tree(tmp_path, {"cgroup.controllers": "cpu\n"}))
    assert (found.cpu_total, found.memory, found.pids, found.transferred) == (0, 0, 0, [])
    assert not cgroup.frozen("h/none", tmp_path)


def test_what_belongs_to_no_group(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "stat": "cpu  1 2 3 4 5 6 7 100 0 0\ncpu0 1 2 3 4 5 6 7 100 0 0\n",
            "42/net/dev": "Inter-| Receive\n face |bytes\n    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n"
            "  eth0: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n",
        },
    )
    assert system_cpu_time(root / "stat") == 28 * 10_000_000
    assert dict(interfaces(42, root)) == {"eth0": [10, 1, 0, 0, 0, 0, 0, 0, 20, 2, 0, 0, 0, 0, 0, 0]}
    assert interfaces(43, root) == {}
