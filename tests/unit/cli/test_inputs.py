import io
from pathlib import Path

import pytest

from trireme_cli.failure import UsageFailure
from trireme_cli.predict.inputs import Inputs, read_items
from trireme_cli.predict.items import BadItem, Item, Origin, PictureItem, RowItem, TextItem

TEXT, PICTURE, TABULAR = "text-classification", "image-classification", "tabular"


def _read(
    *arguments: str | Path,
    task: str = TEXT,
    stdin: bytes = b"",
    data: tuple[str, ...] = (),
    text: bool = False,
) -> list[Item]:
    return read_items(Inputs([str(argument) for argument in arguments], data, text), task, io.BytesIO(stdin))


def test_arguments_are_texts() -> None:
    assert _read("很好", "x") == [TextItem(Origin(1), "很好"), TextItem(Origin(2), "x")]


def test_an_existing_path_is_a_file_unless_text_is_forced(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("eins\n\n  zwei \n", "utf-8")

    assert _read(file) == [TextItem(Origin(1, str(file)), "eins"), TextItem(Origin(3, str(file)), "zwei")]
    assert _read(file, text=True) == [TextItem(Origin(1), str(file))]


@pytest.mark.parametrize("name", ["missing.txt", "./missing.png"])
def test_a_path_that_is_not_there_is_no_text(name: str) -> None:
    with pytest.raises(UsageFailure, match="there is no file"):
        _read(name)


def test_a_text_longer_than_a_file_name_may_be() -> None:
    assert _read("长" * 5000) == [TextItem(Origin(1), "长" * 5000)]


def test_a_file_whose_name_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"\0")

    with pytest.raises(UsageFailure, match=r"does not say what it holds; known: \.txt, \.jsonl"):
        _read(tmp_path / "weights.bin")


def test_pictures_are_sent_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "a.JPG"
    file.write_bytes(b"\xff\xd8\xff")

    (item,) = _read(file, task=PICTURE)

    assert item == PictureItem(Origin(str(file)), file, "image/jpeg")
    assert isinstance(item, PictureItem)
    assert item.read() == b"\xff\xd8\xff"


def test_json_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('"a"\n{"text": "b"}\n{"data": [1, 2.5]}\n[3]\n{"x": 1}\nnope\n[1, true]\n', "utf-8")

    items = _read(file)

    assert items[:4] == [
        TextItem(Origin(1, str(file)), "a"),
        TextItem(Origin(2, str(file)), "b"),
        RowItem(Origin(3, str(file)), (1.0, 2.5)),
        RowItem(Origin(4, str(file)), (3.0,)),
    ]
    assert [isinstance(item, BadItem) for item in items[4:]] == [True, True, True]


def test_a_table_with_a_column_of_texts(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('id,Text\n1,"a, b"\n2\n', "utf-8-sig")

    text, bad = _read(file)

    assert text == TextItem(Origin(1, str(file)), "a, b")
    assert isinstance(bad, BadItem)


@pytest.mark.parametrize("header", ["age,bmi\n", ""])
def test_a_table_of_numbers_with_and_without_a_header(tmp_path: Path, header: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f"{header}1,2\n3,4.5\n", "utf-8")

    assert _read(file, task=TABULAR) == [
        RowItem(Origin(1, str(file)), (1.0, 2.0)),
        RowItem(Origin(2, str(file)), (3.0, 4.5)),
    ]


def test_a_bad_cell_fails_its_row_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("age,bmi\n1,2\nx,2\n1,nan\n", "utf-8")

    good, word, infinite = _read(file, task=TABULAR)

    assert isinstance(good, RowItem)
    assert word == BadItem(Origin(2, str(file)), "invalid_argument", "column 'age': 'x' is not a number")
    assert isinstance(infinite, BadItem)
    assert infinite.code == "non_finite_number"


def test_a_directory_gives_what_suits_the_task_sorted(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"")
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "labels.txt").write_text("x\n")
    (tmp_path / "notes.md").write_text("x\n")

    pictures = _read(tmp_path, task=PICTURE)
    texts = _read(tmp_path, task=TEXT)

    assert [item.origin.input for item in pictures] == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert [item.origin.file for item in texts] == [str(tmp_path / "labels.txt")]


def test_a_directory_of_nothing_known(tmp_path: Path) -> None:
    with pytest.raises(UsageFailure, match="holds no file that can be sent"):
        _read(tmp_path)


def test_numbers() -> None:
    assert _read("1,2", task=TABULAR, data=("3, 4", "[5]")) == [
        RowItem(Origin(1), (1.0, 2.0)),
        RowItem(Origin(2), (3.0, 4.0)),
        RowItem(Origin(3), (5.0,)),
    ]
    with pytest.raises(UsageFailure, match="number 2: 'x' is not a number"):
        _read(data=("1,x",))


def test_standard_input() -> None:
    assert _read("-", stdin="好\n\n坏\n".encode()) == [
        TextItem(Origin(1, "-"), "好"),
        TextItem(Origin(3, "-"), "坏"),
    ]
    assert _read("-", stdin=b"1,2\n[3]\n", task=TABULAR) == [
        RowItem(Origin(1, "-"), (1.0, 2.0)),
        RowItem(Origin(2, "-"), (3.0,)),
    ]
    assert _read("-", stdin=b"\x89PNG...", task=PICTURE) == [
        PictureItem(Origin("-"), None, "image/png", b"\x89PNG...")
    ]


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("好".encode("gbk"))

    with pytest.raises(UsageFailure, match="not UTF-8"):
        _read(tmp_path / "a.txt")
