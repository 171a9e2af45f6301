"""Settings, goals and tables of the inference benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.figures import Sample
from benchmarks.inference import report
from benchmarks.inference.goals import lines
from benchmarks.inference.options import DEFAULT_MODELS, read_options
from benchmarks.inference.raw import raw_settings
from benchmarks.inference.results import RAW, THRIFTY, InferenceResults, ModelResult, Served
from benchmarks.inference.servers import NAMES, OURS
from benchmarks.machine import Machine
from benchmarks.readme import README, ReadmeError

MACHINE = Machine("2026-01-01", "a CPU", 2, "6", "3.11", {"numpy": "2"}, 0.1, {})


def sample(rate: float, cpu_us: float, p99_ms: float = 10.0) -> Sample:
    """One second of load."""
    number = round(rate)
    return Sample(number, 1.0, p99_ms / 2, p99_ms, {"server": number * cpu_us / 1e6}, 0.1)


def served(*samples: Sample, level: str = "64") -> Served:
    made = Served("a setting")
    for each in samples:
        made.add(level, each)
    return made


def model(kind: str = "text", alone_us: float = 5000) -> ModelResult:
    made = ModelResult("m", "a note", kind)
    made.raw = served(sample(400, 1.1 * alone_us), sample(300, alone_us), level=RAW)
    for each in (sample(350, alone_us), sample(250, 1.2 * alone_us)):
        made.raw.add(THRIFTY, each)
    made.anchors = {RAW: "a setting", THRIFTY: "another"}
    made.servers["trireme-stream"] = served(sample(380, alone_us / 0.92), sample(300, alone_us / 0.94))
    made.servers["trireme"] = served(sample(360, alone_us / 0.88), sample(280, alone_us / 0.90))
    made.servers["mosec"] = served(sample(300, alone_us / 0.9, 12), sample(260, alone_us / 0.9, 9))
    return made


def results(*models: ModelResult) -> InferenceResults:
    return InferenceResults("a command", MACHINE, 2, 1.0, {"mosec": "0.9.8"}, list(models))


@pytest.mark.parametrize(("number", "settings"), [(1, 6), (2, 30)])
def test_onnxruntime_alone_is_tried_with_every_core_at_work(number: int, settings: int) -> None:
    found = raw_settings(number)
    assert len(set(map(str, found))) == settings
    assert all(each.callers * each.threads >= number for each in found)


def test_efficiency_is_what_onnxruntime_alone_needs_of_what_the_server_does() -> None:
    found = model().efficiency("trireme-stream", "64")
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(0.92), pytest.approx(0.94))
    assert model().efficiency("absent", "64") is None


def test_goals_are_met_or_not_by_the_median_of_the_rounds() -> None:
    met = {line.words: line.met for line in lines(model())}
    assert met["P5, m: trireme-stream at 64, at least 0.90 of ONNX Runtime alone by CPU"] is True
    assert met["P5, m: trireme at 64, at least 0.90 of ONNX Runtime alone by CPU"] is False
    assert met["P5, m: items/s at 64 at least mosec's"] is True
    assert met["P5, m: p99 at 64 at most mosec's"] is True
    assert met["P5, m: p99 at open 80% at most mosec's"] is None


def test_an_image_model_has_the_bound_of_p6() -> None:
    words = [line.words for line in lines(model("image"))]
    assert words[0].startswith("P6, m: trireme-stream at 64, at least 0.85")


def test_a_small_text_model_is_not_meant_by_p5() -> None:
    assert lines(model(alone_us=300)) == []


def test_a_framework_that_failed_is_named_and_its_line_is_not_met() -> None:
    found = model()
    found.servers["mosec"].fail("PeerMissingError: is not installed")
    assert results(found).failures == ["m/mosec: PeerMissingError: is not installed"]
    said = report.render(results(found), found)
    assert "- m/mosec: PeerMissingError: is not installed" in said
    assert "| P5, m: items/s at 64 at least mosec's | not measured |  |" in said


def test_the_section_holds_method_machine_versions_and_rows() -> None:
    found = model()
    found.servers["trireme-stream"].tried["2 x 1"] = sample(100, 10)
    found.servers["mosec"].tried["2 x 1"] = sample(90, 20)
    said = report.render(results(found), found)
    assert "`a command`" in said
    assert "frameworks: mosec 0.9.8" in said
    assert "| ONNX Runtime alone, most items/s | a setting |  | 350 (300-400) |" in said
    assert "| 2 x 1 | mosec | 90 | 10.00 | 20 |" in said


def test_a_model_is_written_without_touching_the_others() -> None:
    page = f"before\n{report.BEGIN}\n\n{report.END}\nafter"
    for name, text in (("one", "old"), ("two", "kept"), ("one", "new")):
        page = report.replace_section(page, name, text)
    inside = page.removeprefix(f"before\n{report.BEGIN}").removesuffix(f"{report.END}\nafter")
    assert " ".join(inside.split()) == (
        "<!-- inference of one --> new <!-- end of one --> <!-- inference of two --> kept <!-- end of two -->"
    )
    with pytest.raises(ReadmeError):
        report.replace_section("no marks", "one", "new")


def test_the_page_has_the_marks() -> None:
    assert "new" in report.replace_section(README.read_text("utf-8"), "encoder", "new")


def test_results_are_plain_values() -> None:
    plain = results(model()).as_dict()
    assert plain["models"][0]["servers"]["mosec"]["samples"]["64"][0]["requests_per_second"] == 300


def test_options_choose_models_and_frameworks() -> None:
    options = read_options(["--quick", "--peers", "mosec", "--models", "trivial", "--json", "a.json"])
    assert options.servers == (*OURS, "mosec")
    assert options.models == ("trivial",)
    assert options.json == Path("a.json")
    assert options.pace.rounds == 1
    assert read_options([]).servers == NAMES
    assert read_options([]).models == DEFAULT_MODELS
    assert read_options(["--peers", ""]).servers == OURS


@pytest.mark.parametrize("wrong", [["--peers", "nginx"], ["--models", "gpt"], ["--rounds", "0"]])
def test_wrong_usage_ends_with_code_2(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_options(wrong)
    assert ended.value.code == 2
