"""The measurement itself: both sides answer alike, and every model and size is there."""

import orjson
import pytest

from benchmarks.isolation import main


def test_every_model_is_measured_at_every_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rounds", "1", "--seconds", "0.01", "--json"]) == 0
    report = orjson.loads(capsys.readouterr().out)
    assert report["machine"]["cores"] >= 1
    figures = report["figures"]
    assert {(found["model"], found["rows"]) for found in figures} == {
        (model, rows) for model in ("trivial", "sentiment-zh", "digits", "picture 224") for rows in (1, 8, 32)
    }
    assert all(found[key] > 0 for found in figures for key in ("thread_us", "process_us", "process_cpu_us"))
    single = {found["model"]: found["copied_bytes"] for found in figures if found["rows"] == 1}
    assert single["picture 224"] == 3 * 224 * 224 * 4 + 3 * 4
