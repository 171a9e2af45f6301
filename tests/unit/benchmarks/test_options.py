from __future__ import annotations

import pytest

from benchmarks.options import choose_cases, read_options

TRIVIAL = ["anchor", "single-file", "trireme", "trireme-uncoalesced", "trireme-in-process"]
PEERS = ["anchor", "single-file", "trireme"]
CACHE = ["constant", "memory-hit", "redis-hit"]
GATEWAY = {
    "duplicates": ["misses", "duplicates"],
    "forms": ["binary", "base64"],
    "growth": ["1-model", "64-models", "8-replicas"],
}


def test_everything_by_default() -> None:
    assert choose_cases([]) == {
        "trivial": TRIVIAL,
        "sentiment-zh": PEERS,
        "digits": PEERS,
        "cache": CACHE,
        **GATEWAY,
        "memory": ["trireme"],
        "start": ["trireme"],
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["trivial"], {"trivial": TRIVIAL}),
        (["cache"], {"cache": CACHE}),
        (["memory"], {"memory": ["trireme"]}),
        (["digits/trireme"], {"digits": ["trireme"]}),
        (["trivial/trireme", "trivial/anchor"], {"trivial": ["anchor", "trireme"]}),
        (["digits/trireme-in-process"], {}),
        (["trivial", "unheard-of"], {}),
    ],
)
def test_cases_by_workload_server_or_both(names: list[str], expected: dict[str, list[str]]) -> None:
    assert choose_cases(names) == expected


def test_a_server_on_every_workload_that_has_it() -> None:
    assert set(choose_cases(["single-file"])) == {"trivial", "sentiment-zh", "digits"}
    assert set(choose_cases(["trireme"])) == {"trivial", "sentiment-zh", "digits", "memory", "start"}
    assert set(choose_cases(["trireme-in-process"])) == {"trivial"}


def test_quick_is_short_and_can_be_lengthened() -> None:
    quick = read_options(["--quick"])
    assert (quick.pace.rounds, quick.pace.trials, quick.memory_requests) == (1, False, 500)
    assert read_options([]).memory_requests == 10_000
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
