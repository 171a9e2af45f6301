from __future__ import annotations

import pytest

from benchmarks.options import SERVERS, choose_cases, read_options


def test_everything_by_default() -> None:
    assert choose_cases([]) == {name: list(SERVERS) for name in ("trivial", "sentiment-zh", "digits")}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["trivial"], {"trivial": list(SERVERS)}),
        (["digits/trireme"], {"digits": ["trireme"]}),
        (["trivial/trireme", "trivial/anchor"], {"trivial": ["anchor", "trireme"]}),
        (["trivial", "unheard-of"], {}),
    ],
)
def test_cases_by_workload_server_or_both(names: list[str], expected: dict[str, list[str]]) -> None:
    assert choose_cases(names) == expected


def test_a_server_on_every_workload() -> None:
    assert set(choose_cases(["single-file"])) == {"trivial", "sentiment-zh", "digits"}


def test_quick_is_short_and_can_be_lengthened() -> None:
    assert read_options(["--quick"]).pace.rounds == 1
    assert read_options(["--quick", "--rounds", "4"]).pace.rounds == 4
    options = read_options(["--seconds", "0.5", "--case", "trivial"])
    assert (options.pace.rounds, options.pace.seconds) == (3, 0.5)
    assert options.command == "python -m benchmarks --seconds 0.5 --case trivial"


@pytest.mark.parametrize(
    "arguments", [["--case", "none"], ["--rounds", "-1"], ["--seconds", "-2"], ["--what"]]
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        read_options(arguments)
    assert exit_.value.code == 2
    assert "usage:" in capsys.readouterr().err
