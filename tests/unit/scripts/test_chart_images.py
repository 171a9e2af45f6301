"""The list of images that a mirror needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.chart_images import main


def test_images_of_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--registry", "registry.example/team"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [image.partition(":")[0] for image in listed] == [
        f"registry.example/team/{name}"
        for name in (
            "redis",
            "trireme-gateway",
            "trireme-inference",
            "trireme-postprocess",
            "trireme-preprocess",
        )
    ]


def test_later_values_win(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("cache: {mode: 'off'}\ngateway: {image: {tag: a}}\n")
    second.write_text("gateway: {image: {tag: b}}\ninference: {pools: {default: {gpu: {mode: extended}}}}\n")
    assert main(["--registry", "r.example", "-f", str(first), "-f", str(second)]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert "r.example/trireme-gateway:b" in listed
    assert [image for image in listed if image.endswith("-gpu")]
    assert not [image for image in listed if "redis" in image]


def test_what_the_chart_refuses_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert "global.imageRegistry is required" in capsys.readouterr().err
