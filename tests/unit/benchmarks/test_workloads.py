"""The trivial model, the requests and the oracle, without a server."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import orjson
import pytest
import yaml

from benchmarks.answers import check_answer
from benchmarks.driver import BUSIEST
from benchmarks.exchanges import Exchange, Exchanges
from benchmarks.load.closed_loop import WrongAnswerError
from benchmarks.payloads import chinese_reviews, digit_pictures, english_texts
from benchmarks.peers.single_file import Pipeline, open_session, read_pipeline
from benchmarks.repository import make_repository
from benchmarks.servers import candidates
from benchmarks.workloads import WORKLOADS, Workload, ask_oracle
from trireme_cli.loadtest.http import Response

TRIVIAL = WORKLOADS[0]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(TRIVIAL.model, tmp_path / "models", 2)


@pytest.fixture
def oracle(repository: Path) -> Pipeline:
    return read_pipeline(repository)[1]


def test_make_writes_what_is_committed(tmp_path: Path) -> None:
    runpy.run_path(str(TRIVIAL.model / "make.py"))["write"](tmp_path)
    for file in ("1/model.onnx", "1/ngrams.json", "golden.json"):
        assert (tmp_path / file).read_bytes() == (TRIVIAL.model / file).read_bytes(), file


def test_the_golden_answer_is_the_models() -> None:
    golden = json.loads((TRIVIAL.model / "golden.json").read_text())
    ids, counts = (np.array(t["data"]).reshape(t["shape"]) for t in golden["request"]["inputs"])
    feed = {"ids": ids.astype(np.int32), "counts": counts.astype(np.float32)}
    (logits,) = open_session(TRIVIAL.model / "1" / "model.onnx").run(["logits"], feed)
    (wanted,) = golden["response"]["outputs"]
    expected = np.array(wanted["data"]).reshape(wanted["shape"])
    np.testing.assert_allclose(logits, expected, atol=golden["tolerance"], rtol=0)


def test_a_repository_is_the_model_without_its_cache(repository: Path) -> None:
    spec = yaml.safe_load((repository / "trivial" / "model.yaml").read_text())
    assert spec["cache"] == {"enabled": False}
    assert spec["instances"]["count"] == 2
    assert not list(repository.rglob("*.py"))


def test_a_repository_may_keep_its_cache_and_its_instances(tmp_path: Path) -> None:
    copied = make_repository(TRIVIAL.model, tmp_path / "models", cached=True)
    spec = yaml.safe_load((copied / "trivial" / "model.yaml").read_text())
    assert spec["cache"] == {"enabled": True}
    assert "instances" not in spec


def test_a_model_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not there"):
        make_repository(tmp_path / "absent", tmp_path / "models", 1)


@pytest.mark.parametrize("draw", [english_texts, chinese_reviews, digit_pictures])
def test_items_are_distinct_and_the_same_every_time(draw: object) -> None:
    assert callable(draw)
    items = draw(50)
    assert len(set(items)) == 50
    assert items == draw(50)


def test_the_oracle_knows_every_label(oracle: Pipeline, tmp_path: Path) -> None:
    questions = ask_oracle(TRIVIAL, oracle, 200)
    assert {exchange.expected for exchange in questions.model.exchanges} == {"alpha", "beta", "gamma"}
    assert len({exchange.request for exchange in questions.model.exchanges}) > 190
    echoed = questions.echo.exchanges[0]
    assert orjson.loads(echoed.request.partition(b"\r\n\r\n")[2]) == {"texts": [echoed.expected]}
    assert questions.of("anchor") is questions.echo
    assert questions.of("trireme") is questions.of("single-file") is questions.model
    assert {exchange.expected for exchange in questions.of("constant").exchanges} == {"alpha"}
    file = tmp_path / "exchanges.json"
    questions.model.write(file)
    read = Exchanges.read(file)
    assert read.path == ("results", 0, "label")
    assert read.cache == "off"
    assert [e.request for e in read.exchanges] == [e.request for e in questions.model.exchanges]


ASKED = Exchange(b"", "a", {"a": 0.75, "b": 0.25})


def response(answer: dict[str, object], status: int = 200, head: bytes = b"HTTP/1.1 200 OK\r\n") -> Response:
    return Response(status, head, orjson.dumps({"results": [answer]}))


def test_a_right_answer_may_round_its_last_digits() -> None:
    answer: dict[str, object] = {"label": "a", "probabilities": {"a": 0.750001, "b": 0.249999}}
    check_answer(response(answer), ASKED, ("results", 0, "label"))
    off = b"HTTP/1.1 200 OK\r\nx-cache: off\r\n"
    check_answer(response(answer, head=off), ASKED, ("results", 0, "label"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (response({}, status=500), "status 500"),
        (response({"label": "b"}), "'b', but the oracle says 'a'"),
        (response({"label": "a", "probabilities": {"a": 1.0}}), "labels"),
        (response({"label": "a", "probabilities": {"a": 0.7, "b": 0.3}}), "a: 0.7"),
        (response({"label": "a"}, head=b"HTTP/1.1 200 OK\r\nx-cache: hit\r\n"), "says 'hit'"),
    ],
)
def test_a_wrong_answer_is_refused(given: Response, message: str) -> None:
    with pytest.raises(WrongAnswerError, match=message):
        check_answer(given, ASKED, ("results", 0, "label"))


SHARES = ("outputs", 1, "data")


def listed(*shares: float) -> Response:
    """An answer in the v2 protocol."""
    outputs = [{"data": ["a"]}, {"data": shares}]
    return Response(200, b"HTTP/1.1 200 OK\r\n", orjson.dumps({"outputs": outputs}))


def test_probabilities_may_be_a_list_in_the_oracles_order() -> None:
    check_answer(listed(0.75, 0.25), ASKED, ("outputs", 0, "data", 0), shares=SHARES)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (listed(0.25, 0.75), "a: 0.25"),
        (listed(0.75), "labels"),
        (Response(200, b"", b'{"outputs": []}'), "IndexError"),
    ],
)
def test_a_wrong_list_of_probabilities_is_refused(given: Response, message: str) -> None:
    with pytest.raises(WrongAnswerError, match=message):
        check_answer(given, ASKED, ("outputs", 0, "data", 0), shares=SHARES)


def test_an_answer_must_come_from_the_cache_where_it_is_to() -> None:
    answer: dict[str, object] = {"label": "a", "probabilities": {"a": 0.75, "b": 0.25}}
    hit = b"HTTP/1.1 200 OK\r\nx-cache: hit\r\n"
    check_answer(response(answer, head=hit), ASKED, ("results", 0, "label"), "hit")
    for head in (b"HTTP/1.1 200 OK\r\nx-cache: miss\r\n", b"HTTP/1.1 200 OK\r\n"):
        with pytest.raises(WrongAnswerError, match="x-cache was to be hit"):
            check_answer(response(answer, head=head), ASKED, ("results", 0, "label"), "hit")


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_workloads_are_measured_at_the_most_connections(workload: Workload) -> None:
    assert workload.levels[-1] == BUSIEST
    assert set(workload.servers) <= set(candidates({1: Path(), 2: Path()}))
