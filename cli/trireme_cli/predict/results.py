"""Answers as lines of JSON or as a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from trireme_cli.predict.items import Origin


@dataclass(frozen=True)
class Result:
    """What became of one item: the fields of its answer, or its error."""

    index: int
    origin: Origin
    fields: Mapping[str, Any]

    @property
    def failed(self) -> bool:
        return "error" in self.fields

    def line(self) -> dict[str, Any]:
        """`index`, `input`, `file` where a file has many, then the answer or `error`."""
        where: dict[str, Any] = {"index": self.index, "input": self.origin.input}
        if self.origin.file is not None:
            where["file"] = self.origin.file
        return {**where, **self.fields}


class ResultWriter(Protocol):
    """Where results go, one by one, in order."""

    def write(self, result: Result) -> None: ...


class JsonLines:
    """One JSON object a line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, result: Result) -> None:
        self._file.write(json.dumps(result.line(), ensure_ascii=False) + "\n")
        self._file.flush()


_BY_TASK = {
    "text-classification": ("text", "label", "confidence", "probabilities"),
    "image-classification": ("label", "predicted_class", "confidence", "probabilities"),
    "text-embedding": ("text", "embedding"),
    "tabular": ("value", "values"),
}
_ERROR = ("error_code", "error_detail")


class Table:
    """CSV whose columns follow from the model's task; maps and lists are JSON in their cell."""

    def __init__(self, file: TextIO, task: str) -> None:
        self._file = file
        answer = _BY_TASK.get(task, ("outputs",))
        columns = ("index", "input", "file", *answer, "model", "version", *_ERROR)
        self._writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        self._writer.writeheader()

    def write(self, result: Result) -> None:
        line = result.line()
        if error := line.pop("error", None):
            line |= {"error_code": error["code"], "error_detail": error["detail"]}
        self._writer.writerow({name: _cell(value) for name, value in line.items()})
        self._file.flush()


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
