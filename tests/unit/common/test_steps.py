from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field

from trireme_common.errors import SpecError
from trireme_common.steps import Assets, Step, StepFunction, Vocabulary


class Repeat(Step):
    """Says it again."""

    name: ClassVar[str] = "repeat"
    takes: ClassVar[tuple[str, ...]] = ("text",)
    times: int = Field(default=2, ge=1)

    def prepare(self, assets: Assets) -> StepFunction:
        return lambda text: text * self.times


class Count(Step):
    """Length of the text."""

    name: ClassVar[str] = "count"
    takes: ClassVar[tuple[str, ...]] = ("text", "bytes")
    gives: ClassVar[str | None] = "numbers"

    def prepare(self, assets: Assets) -> StepFunction:
        return len


VOCABULARY = Vocabulary("preprocess", (Repeat, Count))


def refusal(*specs: tuple[str, dict[str, object]], kind: str = "text") -> str:
    with pytest.raises(SpecError) as refused:
        VOCABULARY.build(specs, Assets(Path()), kind)
    return refused.value.detail


def test_steps_run_in_their_order() -> None:
    chain = VOCABULARY.build(
        [("repeat", {"times": 3}), ("repeat", {}), ("count", {})], Assets(Path()), "text"
    )
    assert chain("ab") == 12
    assert chain.gives == "numbers"
    assert VOCABULARY.build([], Assets(Path()), "text").gives == "text"


def test_what_does_not_fit_is_refused_by_name() -> None:
    assert "unknown preprocess step 'shout'; known: count, repeat" in refusal(("shout", {}))
    assert "step 2 (repeat) takes text, but what comes before it gives numbers" in refusal(
        ("count", {}), ("repeat", {})
    )
    assert "takes text or bytes" in refusal(("count", {}), kind="image")
    assert "times" in refusal(("repeat", {"times": 0}))
    assert "times" in refusal(("repeat", {"times": "2"}))
    assert "tmies" in refusal(("repeat", {"tmies": 2}))


def test_the_vocabulary_knows_its_steps() -> None:
    assert list(VOCABULARY) == [Repeat, Count]
    assert VOCABULARY.takes_parameter("repeat", "times")
    assert not VOCABULARY.takes_parameter("repeat", "long_text")
    assert not VOCABULARY.takes_parameter("shout", "times")


def test_assets_stay_inside_the_versions_folder(tmp_path: Path) -> None:
    folder = tmp_path / "1"
    folder.mkdir()
    (folder / "labels.json").write_text('["a"]')
    (folder / "bad.json").write_text("[")
    (tmp_path / "secret.json").write_text("[]")
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    assets = Assets(folder)
    assert assets.json("labels.json") == ["a"]
    assert assets.path("labels.json") == folder / "labels.json"
    for name, expected in (
        ("../secret.json", "outside"),
        (str(tmp_path / "secret.json"), "outside"),
        ("link.json", "outside"),
        ("gone.json", "missing"),
        (".", "missing"),
        ("bad.json", "not valid JSON"),
    ):
        with pytest.raises(SpecError, match=expected):
            assets.json(name)


def test_an_asset_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    with pytest.raises(SpecError, match="larger than"):
        Assets(tmp_path).path("huge.json")
