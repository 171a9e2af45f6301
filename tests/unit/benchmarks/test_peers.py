"""The platform beside other frameworks (P1): who is asked what, and how each is started."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmarks.answers import check_answers
from benchmarks.peers.catalog import PEERS, SINGLE_FILE, Peer, Setting, text_settings
from benchmarks.peers.environments import PINS, versions
from benchmarks.peers.lineup import (
    OTHERS,
    WORKLOAD,
    Framework,
    exchanges_of,
    lineup,
    prepare,
    settings_tried,
)
from benchmarks.peers.options import read_options
from benchmarks.peers.single_file import read_pipeline
from benchmarks.repository import make_repository
from benchmarks.servers import ServerError
from benchmarks.workloads import Questions, ask_oracle

BY_NAME = {peer.name: peer for peer in PEERS}
PLAIN = BY_NAME[SINGLE_FILE]
"""Runs in this environment, as the others do in theirs."""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(WORKLOAD.model, tmp_path / "models")


@pytest.fixture
def questions(repository: Path) -> Questions:
    return ask_oracle(WORKLOAD, read_pipeline(repository)[1], 20)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: str(peer.name))
def test_every_framework_is_asked_the_same_texts(peer: Peer, questions: Questions) -> None:
    asked = exchanges_of(peer, "trivial", questions)
    ours = questions.of("trireme").exchanges
    assert [each.expected for each in asked.exchanges] == [each.expected for each in ours]
    assert all(each.probabilities for each in asked.exchanges)
    for each, echoed in zip(asked.exchanges, questions.echo.exchanges, strict=True):
        assert str(echoed.expected).encode() in each.request
    assert len({each.request for each in asked.exchanges}) == len(ours)


def test_frameworks_differ_in_requests_and_where_answers_stand(tmp_path: Path) -> None:
    prepared = prepare(WORKLOAD, ("anchor", "trireme", "bentoml", "pytriton"), 20, tmp_path)
    assert list(prepared.servers) == ["anchor", "trireme", "bentoml", "pytriton"]
    assert prepared.exchanges["trireme"].path == ("results", 0, "label")
    assert prepared.exchanges["bentoml"].path == (0, "label")
    assert prepared.exchanges["pytriton"].shares == ("outputs", 1, "data")
    assert prepared.exchanges["anchor"].path == ("results", 0, "text")
    assert all(file.is_file() for file in prepared.files.values())


def test_ours_is_as_it_ships_and_the_others_are_tried() -> None:
    every = lineup(Path("models"), Path("models/trivial"), dict.fromkeys(PINS, b""))
    assert set(every) == set(WORKLOAD.servers)
    (ours,) = every["trireme"]
    assert ours.setting == "as it tunes itself"
    tried = [str(setting) for setting in text_settings()]
    assert all([each.setting for each in every[name]] == tried for name in PINS)
    assert settings_tried(["anchor", "trireme", "single-file", "ray"]) == {
        "anchor": 1,
        "trireme": 1,
        "single-file": 3,
        "ray": len(tried),
    }


def test_a_framework_answers_as_the_oracle_does_and_ends(
    repository: Path, questions: Questions, tmp_path: Path
) -> None:
    asked = exchanges_of(PLAIN, "trivial", questions)
    spec = Framework(PLAIN, repository / "trivial", Setting(2, 1, 1), asked.exchanges[0].request)
    with spec.running(os.environ, tmp_path / "log") as server:
        check_answers(server.port, asked)
    assert not psutil.pid_exists(server.pid)


def test_a_framework_that_is_not_installed_fails_with_what_to_do(tmp_path: Path) -> None:
    absent = replace(PLAIN, name="unheard-of", own_python=False)
    spec = Framework(absent, tmp_path, Setting(1, 1, 1), b"")
    with (
        pytest.raises(ServerError, match="unheard-of is not installed: `make bench-peers-install`"),
        spec.running(os.environ, tmp_path / "log"),
    ):
        pass


def test_versions_are_those_of_the_frameworks_alone() -> None:
    assert versions(["anchor", "mosec", "single-file"]) == {"mosec": "0.9.8"}


def test_options_choose_peers_beside_ours() -> None:
    assert read_options([]).cases == {"peers": ["anchor", "trireme", *OTHERS]}
    options = read_options(["--quick", "--peer", "mosec", "--peer", "ray", "--json", "a.json"])
    assert options.cases == {"peers": ["anchor", "trireme", "mosec", "ray"]}
    assert options.pace.rounds == 1
    assert options.json == Path("a.json")
    assert options.command == "python -m benchmarks.peers --quick --peer mosec --peer ray --json a.json"


@pytest.mark.parametrize("wrong", [["--peer", "nginx"], ["--rounds", "0"], ["--seconds", "0"]])
def test_wrong_usage_ends_with_code_2(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_options(wrong)
    assert ended.value.code == 2
