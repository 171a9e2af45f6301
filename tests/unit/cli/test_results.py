import csv
import io
import json

from trireme_cli.predict.items import Origin
from trireme_cli.predict.results import JsonLines, Result, Table


def test_json_lines_keep_index_and_origin() -> None:
    file = io.StringIO()

    JsonLines(file).write(Result(4, Origin(2, "a.txt"), {"label": "正面"}))

    assert json.loads(file.getvalue()) == {"index": 4, "input": 2, "file": "a.txt", "label": "正面"}
    assert "正面" in file.getvalue()


def test_a_table_has_a_column_for_the_error() -> None:
    file = io.StringIO()
    table = Table(file, "text-classification")

    table.write(Result(0, Origin(1), {"text": "a, b", "label": "x", "probabilities": {"x": 1.0}}))
    table.write(Result(1, Origin(2), {"error": {"code": "blank_text", "detail": "blank"}}))

    good, bad = csv.DictReader(io.StringIO(file.getvalue()))
    assert (good["text"], good["label"], good["probabilities"]) == ("a, b", "x", '{"x": 1.0}')
    assert (bad["index"], bad["error_code"], bad["error_detail"]) == ("1", "blank_text", "blank")
