from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from trireme_gateway.extensions.log_settings import LogSettings
from trireme_gateway.extensions.regions import Region
from trireme_gateway.extensions.state import ExtensionState
from trireme_gateway.extensions.state_file import StateFile, TicketFiles
from trireme_gateway.extensions.trace_settings import EVERY_MODEL, TraceSettings

STARTED = ExtensionState(trace=TraceSettings(on=True, ratio=0.5))


@pytest.fixture
def tickets(tmp_path: Path) -> Iterator[TicketFiles]:
    made = TicketFiles(tmp_path)
    yield made
    made.close()


def test_a_worker_reads_what_another_has_changed(tmp_path: Path) -> None:
    file = StateFile(tmp_path, STARTED)
    assert file.read() == STARTED
    trace = STARTED.trace.changed(EVERY_MODEL, {"trace_level": ["OFF"], "trace_count": "3"}, "t1")
    trace = trace.changed("m", {"trace_rate": "7"}, "t2")
    wanted = replace(
        STARTED,
        log=LogSettings(info=False, verbose_level=2, format="ISO8601"),
        trace=trace,
        regions={"r": Region("r", "/memory", 1, 2, 3, 4)},
    )
    changed = file.update(lambda _: wanted)
    assert changed == replace(wanted, revision=1)
    assert StateFile(tmp_path, STARTED).read() == changed


def test_changes_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    def register(number: int) -> ExtensionState:
        region = Region(f"r{number}", "/memory", 0, 1)
        file = StateFile(tmp_path, STARTED)
        return file.update(lambda state: replace(state, regions={**state.regions, region.name: region}))

    with ThreadPoolExecutor(8) as pool:
        revisions = [state.revision for state in pool.map(register, range(24))]
    assert sorted(revisions) == list(range(1, 25))
    assert len(StateFile(tmp_path, STARTED).read().regions) == 24


def test_a_change_that_fails_changes_nothing_and_stops_nobody(tmp_path: Path) -> None:
    file = StateFile(tmp_path, STARTED)

    def fail(state: ExtensionState) -> ExtensionState:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        file.update(fail)
    assert file.read() == STARTED
    assert file.update(lambda state: state).revision == 1


def test_each_ticket_is_taken_once_by_all_workers_together(tmp_path: Path) -> None:
    def take(_: int) -> list[int]:
        worker = TicketFiles(tmp_path)
        taken = [worker.take("t") for _ in range(50)]
        worker.close()
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [number for worker in pool.map(take, range(4)) for number in worker]
    assert sorted(taken) == list(range(1, 201))


def test_tickets_are_counted_by_name_until_they_are_forgotten(tickets: TicketFiles, tmp_path: Path) -> None:
    assert [tickets.take("a"), tickets.take("a"), tickets.take("b")] == [1, 2, 1]
    assert (tickets.taken("a"), tickets.taken("never")) == (2, 0)
    tickets.forget(["a", "never"])
    assert tickets.taken("a") == 0
    assert os.listdir(tmp_path) == ["b.tickets"]


def test_where_no_ticket_can_be_written_there_is_none_left(tmp_path: Path) -> None:
    assert TicketFiles(tmp_path / "gone").take("t") > 2**40
