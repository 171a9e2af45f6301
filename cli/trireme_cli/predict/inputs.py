"""What the arguments of `trireme predict` mean, for a model of a given task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trireme_cli.failure import UsageFailure
from trireme_cli.predict.files import is_known, json_item, read_path
from trireme_cli.predict.items import Item, Origin, PictureItem, RowItem, TextItem
from trireme_cli.predict.numbers import row, split_numbers

STDIN = "-"
_MAGIC = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
    b"BM": "image/bmp",
    b"GIF8": "image/gif",
}


@dataclass(frozen=True)
class Inputs:
    """What stands on the command line after the model's name."""

    arguments: Sequence[str]
    data: Sequence[str] = ()
    force_text: bool = False


def read_items(inputs: Inputs, task: str, stdin: BinaryIO) -> list[Item]:
    """All items in order. Raises UsageFailure for what cannot be read or is not there."""
    items: list[Item] = []
    for number, argument in enumerate(inputs.arguments, start=1):
        items.extend(_argument(number, argument, inputs.force_text, task, stdin))
    for number, text in enumerate(inputs.data, start=len(inputs.arguments) + 1):
        item = row(Origin(number), split_numbers(text))
        if not isinstance(item, RowItem):
            raise UsageFailure(f"--data {text!r}: {item.detail}")  # type: ignore[union-attr]
        items.append(item)
    return items


def _argument(number: int, argument: str, force_text: bool, task: str, stdin: BinaryIO) -> Iterator[Item]:
    origin = Origin(number)
    if force_text:
        yield TextItem(origin, argument)
    elif argument == STDIN:
        yield from _standard_input(task, stdin)
    elif _exists(argument):
        yield from read_path(Path(argument), task)
    elif task == "tabular":
        yield row(origin, split_numbers(argument))
    elif task == "image-classification" or _names_a_file(argument):
        raise UsageFailure(f"there is no file {argument}; --text sends the argument itself as a text")
    else:
        yield TextItem(origin, argument)


def _exists(argument: str) -> bool:
    try:
        return Path(argument).exists()
    except (OSError, ValueError):
        # Longer than a name may be, or with a zero byte: a text.
        return False


def _names_a_file(argument: str) -> bool:
    return not any(character.isspace() for character in argument) and is_known(Path(argument))


def _standard_input(task: str, stdin: BinaryIO) -> Iterator[Item]:
    if task == "image-classification":
        data = stdin.read()
        kind = next(
            (kind for magic, kind in _MAGIC.items() if data.startswith(magic)), "application/octet-stream"
        )
        yield PictureItem(Origin(STDIN), None, kind, data)
        return
    for number, line in enumerate(stdin, start=1):
        text = line.decode("utf-8", "replace").strip()
        origin = Origin(number, STDIN)
        if not text:
            continue
        if task != "tabular":
            yield TextItem(origin, text)
        elif text.startswith(("{", "[")):
            yield json_item(origin, text)
        else:
            yield row(origin, split_numbers(text))
