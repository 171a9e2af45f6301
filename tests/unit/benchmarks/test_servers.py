"""Peers as processes: ready, right, stopped."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmarks.answers import check_answers
from benchmarks.driver import Driver, Pace, steps
from benchmarks.load.process_tree import read_pss
from benchmarks.peers.single_file import read_pipeline
from benchmarks.repository import make_repository
from benchmarks.results import WorkloadResult
from benchmarks.servers import ServerError, ServerSpec, candidates, platform, settings_tried
from benchmarks.workloads import WORKLOADS, Workload, ask_oracle

DIGITS = next(workload for workload in WORKLOADS if workload.name == "digits")
CACHE = next(workload for workload in WORKLOADS if workload.cached)


@pytest.mark.parametrize("workload", [WORKLOADS[0], DIGITS], ids=lambda workload: str(workload.name))
def test_both_peers_answer_as_the_oracle_does_and_end(workload: Workload, tmp_path: Path) -> None:
    repository = make_repository(workload.model, tmp_path / "models", 1)
    questions = ask_oracle(workload, read_pipeline(repository)[1], 8)
    servers = candidates({1: repository, 2: repository})
    for name in ("anchor", "single-file"):
        exchanges = questions.of(name)
        with servers[name][0].running(os.environ, tmp_path / "log") as server:
            check_answers(server.port, exchanges)
        assert not psutil.pid_exists(server.pid)


@pytest.mark.parametrize(
    ("workload", "server"),
    [(WORKLOADS[0], "trireme-in-process"), (DIGITS, "trireme-in-process"), (CACHE, "constant")],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_the_gateway_without_hops_answers_as_the_oracle_does(
    workload: Workload, server: str, tmp_path: Path
) -> None:
    repository = make_repository(workload.model, tmp_path / "models", 1, cached=workload.cached)
    questions = ask_oracle(workload, read_pipeline(repository)[1], 8)
    (spec, *_) = candidates({1: repository, 2: repository})[server]
    with spec.running(os.environ, tmp_path / "log") as process:
        check_answers(process.port, questions.of(server))
        memory = read_pss(process.pid)
        assert memory
        assert all(mb > 0 for mb in memory.values())
    assert not psutil.pid_exists(process.pid)


def test_what_differs_from_the_platform_is_said_in_one_place() -> None:
    servers = candidates({1: Path("one"), 2: Path("two")})
    for name, environment in (
        ("trireme-uncoalesced", {"TRIREME_GATEWAY_COALESCE": "false"}),
        ("redis-hit", {"TRIREME_GATEWAY_CACHE_MEMORY_BYTES": "0"}),
        ("memory-hit", {}),
    ):
        for spec, like in zip(servers[name], servers["trireme"], strict=False):
            assert spec.environment == {**like.environment, **environment}
            assert spec.setting == like.setting
    assert [spec.setting for spec in servers["trireme-in-process"]] == ["1 instance", "2 instances"]


def test_a_platform_of_which_nothing_is_said_tunes_itself() -> None:
    spec = platform("trireme", Path("one"))
    assert spec.setting == "as it tunes itself"
    assert spec.environment == {}


def test_settings_that_are_tried_are_steps_of_their_own() -> None:
    pace = Pace(rounds=2, seconds=0.2, warm_up_seconds=0.1, payloads=64, levels=(1, 64))
    settings = settings_tried(["anchor", "single-file", "trireme", "trireme-in-process"])
    assert steps(pace, WORKLOADS[0], settings) == 1 + 3 + 2 + 4 * 2 * 2
    assert steps(replace(pace, trials=False), WORKLOADS[0], settings) == 1 + 4 * 2 * 2


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit('no such model')", "before it was ready: no such model"),
        ('print(\'{"http": "http://127.0.0.1:1"}\', flush=True)', "ended by itself, 0"),
    ],
)
def test_a_server_that_ends_is_told_with_its_last_words(code: str, message: str, tmp_path: Path) -> None:
    spec = ServerSpec("broken", "", (sys.executable, "-c", code))
    with (
        pytest.raises(ServerError, match=message),
        spec.running(os.environ, tmp_path / "log") as server,
    ):
        psutil.Process(server.pid).wait()


def test_a_round_from_oracle_to_sample(tmp_path: Path) -> None:
    told: list[str] = []
    result = WorkloadResult("trivial", "")
    pace = Pace(rounds=1, seconds=0.2, warm_up_seconds=0.1, payloads=64, levels=(1, 16))
    Driver(pace, tmp_path, os.environ, told.append).run(WORKLOADS[0], ["anchor"], result)
    assert not result.failure
    anchor = result.servers["anchor"]
    assert anchor.failure == ""
    assert {level: len(samples) for level, samples in anchor.samples.items()} == {1: 1, 16: 1}
    assert list(anchor.programs(16)) == ["anchor"]
    assert len(told) == steps(pace, WORKLOADS[0], settings_tried(["anchor"])) == 3


def test_a_model_that_is_missing_fails_its_workload_only(tmp_path: Path) -> None:
    workload = Workload("absent", tmp_path / "absent", WORKLOADS[0].items, "")
    result = WorkloadResult("absent", "")
    Driver(Pace(1, 0.1, 0.1, 8), tmp_path, os.environ, lambda _: None).run(workload, ["anchor"], result)
    assert "is not there" in result.failure
    assert not result.servers
