"""Frameworks as the driver sees them, and what each does with a request."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest

from benchmarks.load.questions import Checker, Questions
from benchmarks.peers.catalog import (
    PEERS,
    SINGLE_FILE,
    Setting,
    TensorItem,
    binary_v2,
    environment,
    make_setup,
    settings,
    with_headers,
)
from benchmarks.peers.environments import PINS, PeerMissingError, digest, interpreter
from benchmarks.peers.foreign.work import Item, Setup, TensorWork, TextWork, open_work, stack
from benchmarks.peers.running import Launch, launched, tail
from benchmarks.servers import ServerError

TRIVIAL = Path(__file__).resolve().parents[3] / "benchmarks" / "models" / "trivial"
ITEM = TensorItem(("ids", "counts"), ("INT32", "FP32"), ((1, 2), (1, 2)), (b"12345678", b"abcdefgh"))


def split(request: bytes) -> tuple[bytes, bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    return head, body


def test_every_framework_but_the_single_file_has_pins() -> None:
    assert {peer.name for peer in PEERS} == {*PINS, SINGLE_FILE}


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: str(peer.name))
def test_requests_of_every_framework_are_whole(peer: object) -> None:
    found = next(each for each in PEERS if each is peer)
    for request in (found.tensors("m", ITEM).request, found.texts("m", "a text")):
        head, body = split(request)
        assert f"content-length: {len(body)}".encode() in head.split(b"\r\n")
        assert head.startswith(b"POST /")


def test_binary_tensors_stand_behind_their_json() -> None:
    head, body = split(binary_v2("/v2/models/m/infer", ITEM).request)
    (length,) = [line for line in head.split(b"\r\n") if line.startswith(b"inference-header")]
    size = int(length.partition(b": ")[2])
    inputs = orjson.loads(body[:size])["inputs"]
    assert [tensor["parameters"]["binary_data_size"] for tensor in inputs] == [8, 8]
    assert body[size:] == b"12345678abcdefgh"


def test_headers_are_added_before_the_body() -> None:
    assert with_headers(b"POST / HTTP/1.1\r\na: b\r\n\r\nbody", {"c": "d"}) == (
        b"POST / HTTP/1.1\r\na: b\r\nc: d\r\n\r\nbody"
    )


def test_a_setup_reaches_its_process() -> None:
    setup = make_setup(TRIVIAL, "texts", Setting(2, 1, 32))
    given = environment(setup, {"PATH": "/bin"})
    assert Setup(**json.loads(given["PEER_SETUP"])) == setup
    assert len({setup.port, setup.grpc_port, setup.metrics_port}) == 3
    assert given["PATH"] == "/bin"


def test_settings_differ_and_say_what_they_are() -> None:
    assert len(set(map(str, settings()))) == len(settings())
    assert str(Setting(1, 2, 32)) == "1 worker x 2 threads, batch 32"


def test_a_framework_that_is_not_there_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(PeerMissingError, match="make bench-peers-install"):
        interpreter("mosec", tmp_path)
    (tmp_path / "mosec").mkdir()
    (tmp_path / "mosec" / "failure.txt").write_text("ERROR: no such version")
    with pytest.raises(PeerMissingError, match="no such version"):
        interpreter("mosec", tmp_path)


def test_an_environment_counts_for_its_pins_only(tmp_path: Path) -> None:
    (tmp_path / "mosec").mkdir()
    (tmp_path / "mosec" / "pins.sha256").write_text(digest(PINS["mosec"]))
    assert interpreter("mosec", tmp_path) == tmp_path / "mosec" / "bin" / "python"
    (tmp_path / "mosec" / "pins.sha256").write_text(digest(("mosec==0.0.0",)))
    with pytest.raises(PeerMissingError):
        interpreter("mosec", tmp_path)


def test_tensors_come_back_out_of_a_body() -> None:
    work = TensorWork(TRIVIAL, 1)
    ids, counts = np.arange(64, dtype=np.int32), np.ones(64, np.float32)
    item = work.decode(ids.tobytes() + counts.tobytes())
    np.testing.assert_array_equal(item.tensors[0], ids)
    np.testing.assert_array_equal(item.tensors[1], counts)
    (row,) = work.run([item])
    assert np.frombuffer(work.encode(item, row), "<f4").tolist() == row.tolist()
    with pytest.raises(ValueError, match="no item"):
        work.decode(ids.tobytes() + counts.tobytes() + b"x")


def test_texts_are_answered_as_predict_does() -> None:
    setup = make_setup(TRIVIAL, "texts", Setting(1, 1, 8))
    work = open_work(setup)
    assert isinstance(work, TextWork)
    items = [
        work.decode(orjson.dumps({"texts": [text]})) for text in ("the anchor", "a harbour in the north")
    ]
    together, alone = work.run(items), work.run(items[:1])
    np.testing.assert_allclose(together[0], alone[0], rtol=1e-5)
    answer = orjson.loads(work.encode(items[0], alone[0]))["results"][0]
    assert answer["text"] == "the anchor"
    assert max(answer["probabilities"], key=answer["probabilities"].get) == answer["label"]
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0)


def test_unequal_items_are_filled_up_with_zeros() -> None:
    np.testing.assert_array_equal(stack([np.array([1, 2, 3]), np.array([4])]), [[1, 2, 3], [4, 0, 0]])


def test_an_answer_is_checked_as_the_framework_writes_it() -> None:
    row = np.array([1.0, 2.0], np.float32)
    peer = next(each for each in PEERS if each.name == "mosec")
    form = peer.tensors("m", ITEM).form
    body = TensorWork(TRIVIAL, 1).encode(Item(()), row)
    Checker(Questions("http", "m", (b"",), ((1.0, 2.0),), form)).check(0, body)


def test_a_server_that_ends_early_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "print('no licence'); raise SystemExit(3)")
    launch = Launch("broken", command, dict(os.environ), tmp_path / "home", lambda: False)
    with pytest.raises(ServerError, match="3: no licence"), launched(launch, tmp_path / "log"):
        pass


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    launch = Launch("deaf", command, dict(os.environ), tmp_path / "home", lambda: False)
    with pytest.raises(ServerError, match="did not answer in time"), launched(launch, tmp_path / "log", 0.3):
        pass
    assert tail(tmp_path / "log") == "it said nothing"
