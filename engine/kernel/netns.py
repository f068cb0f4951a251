"""Network namespaces (network_namespaces(7)), kept by bind mounts and entered by threads.

A namespace belongs to a thread, so a short-lived thread enters one and ends there: no process is forked, and the
daemon's own threads never leave theirs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engine.kernel import mounts, syscalls

T = TypeVar("T")


def create(path: Path, configure: Callable[[], T]) -> T:
    """Make a namespace, keep it at *path*, and run *configure* inside it. Nothing stays when that raises."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
    path.touch(mode=0o600, exist_ok=False)

    def inside() -> T:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        syscalls.mount(f"/proc/self/task/{threading.get_native_id()}/ns/net", str(path), "", syscalls.MS_BIND)
        return configure()

    try:
        return on_a_thread(inside)
    except BaseException:
        delete(path)
        raise


def run_inside(path: Path, action: Callable[[], T]) -> T:
    """What *action* returns, run by a thread in the namespace kept at *path*."""

    def inside() -> T:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(descriptor, syscalls.CLONE_NEWNET)
        finally:
            os.close(descriptor)
        return action()

    return on_a_thread(inside)


def delete(path: Path) -> None:
    """Let go of the namespace at *path*; the kernel ends it, and its links, when its last process has gone."""
    mounts.unmount(path)
    path.unlink(missing_ok=True)


def on_a_thread(action: Callable[[], T]) -> T:
    """What *action* returns, run by a thread of its own: whatever namespaces it enters, nobody else does."""
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(action())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it belongs
            failure.append(error)

    thread = threading.Thread(target=run, name="netns")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]
