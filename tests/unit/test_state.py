"""What may follow what in a container's life, and what is kept of it in its row."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from engine.containers.model import Container, State, Status
from engine.containers.options import ContainerConfig, HostConfig, Mount, RestartPolicy, RestartPolicyName, Ulimit
from engine.containers.records import ContainerRecords, Record
from engine.containers.restart import LONG_LIFE, delay, ends_in_a_row, policy_says
from engine.containers.state import TRANSITIONS, moved, require_running, require_startable
from engine.database import Database
from engine.errors import Conflict, NotModified, NotRunning
from engine.networks.model import PublishedPort
from engine.types import Digest, new_id


def container(status: Status = Status.CREATED, **host: object) -> Container:
    return Container(
        id=new_id(),
        name="calm_hopper",
        image=Digest.of(b"image"),
        created=1_700_000_000_000_000_001,
        config=ContainerConfig(image="box", cmd=("a", "b"), entrypoint=(), env=("A=é",), labels={"l": "\udcff"}),
        host=HostConfig(**host),  # type: ignore[arg-type]
        state=State(status=status, exit_code=3, started_at=5),
        path="a",
        args=("b",),
        raw_config={"Labels": {"l": "v"}},
        raw_host_config={"Binds": None},
        log_path="/x/log",
    )


def test_every_pair_of_states() -> None:
    for before, after in itertools.product(Status, Status):
        if after in TRANSITIONS[before]:
            assert moved(container(before), after, exit_code=9).state == State(status=after, exit_code=9, started_at=5)
        else:
            with pytest.raises(Conflict, match=f"is {before}: it cannot become {after}"):
                moved(container(before), after)


def test_nothing_leads_back_to_created_or_out_of_removing() -> None:
    assert [before for before in Status if Status.CREATED in TRANSITIONS[before]] == [Status.CREATED]
    assert TRANSITIONS[Status.REMOVING] <= {Status.REMOVING, Status.DEAD}
    assert Status.REMOVING not in TRANSITIONS[Status.RUNNING]


@pytest.mark.parametrize(
    ("status", "running", "startable"),
    [
        (Status.CREATED, NotRunning, None),
        (Status.RUNNING, None, NotModified),
        (Status.PAUSED, None, Conflict),
        (Status.RESTARTING, Conflict, None),
        (Status.EXITED, NotRunning, None),
        (Status.REMOVING, NotRunning, Conflict),
        (Status.DEAD, NotRunning, Conflict),
    ],
)
def test_requirements(status: Status, running: type[Exception] | None, startable: type[Exception] | None) -> None:
    for check, error in ((require_running, running), (require_startable, startable)):
        if error is None:
            check(container(status))
        else:
            with pytest.raises(error):
                check(container(status))


def test_policies() -> None:
    def says(name: str, code: int, *, count: int = 0, most: int = 0) -> bool:
        made = container(restart=RestartPolicy(name=RestartPolicyName(name), maximum_retries=most))
        return policy_says(replace(made, state=replace(made.state, restart_count=count)), code)

    assert [says("no", 1), says("always", 0), says("unless-stopped", 0)] == [False, True, True]
    assert [says("on-failure", 0), says("on-failure", 1)] == [False, True]
    assert [says("on-failure", 1, count=count, most=2) for count in range(4)] == [True, True, False, False]
    assert [delay(attempt) for attempt in (0, 1, 2, 3, 10, 11, 10_000)] == [0.1, 0.1, 0.2, 0.4, 51.2, 60, 60]


def test_a_long_life_begins_the_delays_anew() -> None:
    ends, delays = 0, []
    for lived in (0, 0, LONG_LIFE - 1, LONG_LIFE, 0, 0):
        ends = ends_in_a_row(ends, lived=lived)
        delays.append(delay(ends))
    assert delays == [0.1, 0.2, 0.4, 0.1, 0.2, 0.4]


def test_a_row_gives_back_what_was_put_in(tmp_path: Path) -> None:
    with Database(tmp_path / "db.sqlite3") as database:
        records = ContainerRecords(database)
        record = Record(
            container=container(
                mounts=(Mount(source="/a", target="/b", read_only=True),),
                tmpfs={"/t": "size=1"},
                ports=(PublishedPort(container_port=80, host_ip="127.0.0.1", host_port=8080),),
                restart=RestartPolicy(name=RestartPolicyName.ON_FAILURE, maximum_retries=3),
                ulimits=(Ulimit(name="nofile", soft=1, hard=2),),
                sysctls={"net.x": "1"},
                cap_add=("ALL",),
                dns=("1.1.1.1",),
            ),
            stopped_by_hand=True,
            failures=4,
        )
        records.insert(record)
        assert records.all() == [record]
        later = replace(record, container=moved(record.container, Status.RUNNING, pid=7), failures=0)
        records.update(later)
        assert records.all() == [later]
        with pytest.raises(
            Conflict, match=f'The container name "/calm_hopper" is already in use by container "{record.container.id}"'
        ):
            records.insert(replace(record, container=replace(record.container, id=new_id())))
        records.delete(record.container.id)
        assert records.all() == []
