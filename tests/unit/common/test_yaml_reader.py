from __future__ import annotations

import time
from pathlib import Path

import pytest

from trireme_common.errors import SpecError
from trireme_common.yaml_reader import MAX_BYTES, read_yaml


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "model.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(SpecError) as refused:
        read_yaml(path)
    assert str(path) in refused.value.detail
    return refused.value.detail


def test_plain_values_and_their_lines(tmp_path: Path) -> None:
    document = read_yaml(write(tmp_path, "name: a\nlist:\n  - 1\n  - x: 2.5\n    y: true\nnone:\n"))
    assert document.value == {"name": "a", "list": [1, {"x": 2.5, "y": True}], "none": None}
    assert document.line(("list", 1, "y")) == 5
    assert document.line(("list", 0)) == 3
    assert document.line(("list", 1, "missing", "deeper")) == 4
    assert document.line(()) == 1


def test_an_empty_file_has_no_value(tmp_path: Path) -> None:
    assert read_yaml(write(tmp_path, "")).value is None


BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BOMB, "line 1: anchors and aliases"),
        ("a: 1\nb: *a\n", "line 2: anchors and aliases"),
        ("a: 1\nb: !!python/object/apply:os.system ['true']\n", "line 2: tags are not accepted"),
        ("a: !!str 1\n", "line 1: tags are not accepted"),
        ("a: ! x\n", "line 1: tags are not accepted"),
        ("a: 1\nb: 2\na: 3\n", "line 3: 'a' stands twice"),
        ("a:\n  b: 1\n  b: 2\n", "line 3: 'b' stands twice"),
        ("a: [1\nb: 2\n", "line 2"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ("a: " + "[" * 17 + "]" * 17, "nested deeper"),
        ("[" * 50_000, "nested deeper"),
        (b"a: \xff\n", "model.yaml"),
        ("a: 2001-13-45\n", "model.yaml"),
        ("a: =\n", "line 1"),
    ],
)
def test_what_a_configuration_needs_not_is_refused_with_its_line(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    assert expected in refusal(write(tmp_path, text))


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = write(tmp_path, b"a: " + b"x" * 10_000_000)
    started = time.perf_counter()
    assert f"larger than {MAX_BYTES} bytes" in refusal(path)
    assert time.perf_counter() - started < 1


def test_a_merge_key_is_a_key_like_any_other(tmp_path: Path) -> None:
    assert read_yaml(write(tmp_path, "<<: {a: 1}\n")).value == {"<<": {"a": 1}}
