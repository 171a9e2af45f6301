"""The workloads about the gateway: what is asked of whom, and how long it takes to start."""

from __future__ import annotations

import os
from base64 import b64decode
from pathlib import Path

import orjson
import pytest
import yaml

from benchmarks.goals import GOALS
from benchmarks.machine import this_machine
from benchmarks.payloads import photographs
from benchmarks.peers.single_file import read_pipeline
from benchmarks.repository import make_crowd, make_repository
from benchmarks.results import Results, StartResult
from benchmarks.servers import CROWDS, candidates, crowd_of
from benchmarks.start import measure_start
from benchmarks.workloads import COPIES, WORKLOADS, ask_oracle
from trireme_common.repository import scan

BY_NAME = {workload.name: workload for workload in WORKLOADS}


def test_duplicates_stand_in_a_row_and_misses_once(tmp_path: Path) -> None:
    workload = BY_NAME["duplicates"]
    repository = make_repository(workload.model, tmp_path / "models", 1, cached=True)
    questions = ask_oracle(workload, read_pipeline(repository)[1], 10)
    misses, duplicates = (questions.of(server) for server in workload.servers)
    assert (misses.cache, duplicates.cache) == ("miss", "coalesced")
    assert len(duplicates.exchanges) == COPIES * len(misses.exchanges)
    assert len({each.request for each in duplicates.exchanges[:COPIES]}) == 1
    assert [each.request for each in duplicates.exchanges[::COPIES]] == [
        each.request for each in misses.exchanges
    ]


def test_both_forms_carry_the_same_pictures(tmp_path: Path) -> None:
    workload = BY_NAME["forms"]
    repository = make_repository(workload.model, tmp_path / "models", 1)
    questions = ask_oracle(workload, read_pipeline(repository)[1], 3)
    binary, base64 = (questions.of(server) for server in workload.servers)
    assert binary.path == ("label",)
    assert base64.path == ("predictions", 0, "label")
    for body, text in zip(binary.exchanges, base64.exchanges, strict=True):
        head, _, picture = body.request.partition(b"\r\n\r\n")
        assert b"content-type: image/jpeg" in head
        (instance,) = orjson.loads(text.request.partition(b"\r\n\r\n")[2])["instances"]
        assert b64decode(instance["b64"]) == picture
        assert body.expected == text.expected


def test_photographs_are_large_and_distinct() -> None:
    first, second = photographs(2)
    assert first != second
    assert len(first) > 100_000
    assert photographs(2) == [first, second]


def test_a_crowd_is_served_beside_the_model_itself(tmp_path: Path) -> None:
    model = BY_NAME["growth"].model
    found = scan(make_crowd(model, tmp_path / "crowd", 3))
    assert not found.broken
    assert {files.spec.name for files in found.versions} == {"trivial", "trivial-1", "trivial-2"}
    spec = yaml.safe_load((tmp_path / "crowd" / "trivial-2" / "model.yaml").read_text("utf-8"))
    assert spec["instances"] == {"count": 1, "isolation": "thread"}
    assert spec["cache"] == {"enabled": False}


def test_growth_differs_in_one_thing_each() -> None:
    servers = candidates({1: Path("at/models-1"), 2: Path("at/models-2")})
    one, many, replicas = (servers[name][0] for name in BY_NAME["growth"].servers)
    assert replicas.command == (*one.command, "--replicas", "inference=8")
    assert str(crowd_of(Path("at/models-1"), "64-models")) == "at/crowd-of-64"
    assert [word for word in many.command if word not in one.command] == ["at/crowd-of-64"]
    assert one.environment == many.environment == replicas.environment
    assert CROWDS["64-models"] == 64


def test_the_gateway_starts_without_stages(tmp_path: Path) -> None:
    told: list[str] = []
    result = StartResult()
    measure_start(tmp_path, os.environ, 1, told.append, result)
    assert result.failure == ""
    (seconds,) = result.seconds
    assert seconds > 0
    assert told == ["start: round 1, the gateway"]
    results = Results("", this_machine({}), 1, 1.0, start=result)
    goal = next(goal for goal in GOALS if "after its start" in goal.words)
    found = goal.measure(results)
    assert found is not None
    assert found.median == seconds


def test_a_gateway_that_does_not_start_is_said(tmp_path: Path) -> None:
    result = StartResult()
    environment = {**os.environ, "TRIREME_GATEWAY_CACHE_MEMORY_BYTES": "many"}
    measure_start(tmp_path, environment, 2, lambda words: None, result)
    assert result.seconds == []
    assert "cache_memory_bytes" in result.failure.lower()
    assert Results("", this_machine({}), 1, 1.0, start=result).failures == [f"start: {result.failure}"]


@pytest.mark.parametrize("name", ["duplicates", "forms", "growth"])
def test_all_of_them_are_the_gateways(name: str) -> None:
    makefile = (Path(__file__).parents[3] / "Makefile").read_text("utf-8")
    (cases,) = (line for line in makefile.splitlines() if line.startswith("GATEWAY_CASES"))
    assert name in cases.split()
