"""The text format: what is read, what is reported as unknown, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from trireme_common.errors import SpecError
from trireme_common.triton.pbtxt import MAX_BYTES, ParsedConfig, read_config


def read(folder: Path, text: str | bytes) -> ParsedConfig:
    path = folder / "config.pbtxt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_config(path)


def refusal(folder: Path, text: str | bytes) -> str:
    with pytest.raises(SpecError) as refused:
        read(folder, text)
    return refused.value.detail


def test_both_ways_of_writing_lists_and_both_brackets(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        'name: "a" # why\r\ninput [ { name: "x" dims: [ -1, 4 ] },\n < name: "y"; dims: 3, dims: 4 > ]\n'
        'input { name: "z" "z"\n dims: [] }\nparameters: { key: "k" value { string_value: \'v\' } }\n',
    )
    assert [(tensor.name, list(tensor.dims)) for tensor in parsed.message.input] == [
        ("x", [-1, 4]),
        ("y", [3, 4]),
        ("zz", []),
    ]
    assert parsed.message.parameters["k"].string_value == "v"
    assert not parsed.unknown
    lines = [parsed.line("input", at, "dims") for at in range(3)]
    assert lines == [2, 3, 5]
    assert parsed.line("input", 2, "reshape") == 4
    assert parsed.line("nowhere") == 1


def test_unknown_names_are_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        'name: "a", future: 3, max_batch_size: 4\nknobs [ { a: 1 }, { b <c: [1, "x"]> } ]\n'
        'optimization {\n new_level: -1.5e3\n graph { level: 2 } }\nlater {} backend: "b"',
    )
    assert parsed.unknown == (
        "future (line 1)",
        "knobs (line 2)",
        "optimization.new_level (line 4)",
        "later (line 6)",
    )
    message = parsed.message
    assert (message.name, message.max_batch_size, message.backend) == ("a", 4, "b")
    assert message.optimization.graph.level == 2


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    assert not read(tmp_path, "\ufeff# nothing\n").message.ListFields()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name: "a"\nplatform: \n', "line 3: "),
        ('name: "a" }', "line 1: "),
        ('name: "a"\ninput [ { name: "x"', "line 2: "),
        ("input [ {\n data_type: TYPE_FP9 } ]", "line 2: .*no value named TYPE_FP9"),
        ('name: "a"\nname: "b"', 'line 2: .*multiple "name"'),
        ('\nmax_batch_size: "8"', "line 2: .*integer"),
        ("max_batch_size: 99999999999", "line 1: .*out of range"),
        ("dynamic_batching { }\nsequence_batching { }", "line 2: .*oneof"),
        ('name: "unterminated\n', "line 1: .*missing ending quote"),
        ("a {" * 1000, "line 1: .*deeper than 16"),
        ("a: [" * 1000, "line 1: "),
        (b'name: "a"\nbackend: "\xff"', "line 2: not UTF-8"),
        (b"#" * (MAX_BYTES + 1), "larger than"),
        ("[a.b] { }", "line 1: "),
        ('name "a"', 'line 1: .*Expected ":"'),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path: Path, text: str | bytes, expected: str) -> None:
    detail = refusal(tmp_path, text)
    assert detail.startswith(str(tmp_path / "config.pbtxt"))
    assert len(detail) < len(str(tmp_path)) + 400
    with pytest.raises(SpecError, match=expected):
        read_config(tmp_path / "config.pbtxt")
