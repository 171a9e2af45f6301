"""Reports: well-formed, complete, and without an address to fetch anything from."""

from __future__ import annotations

import re
import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest

from trireme_cli.failure import UsageFailure
from trireme_cli.loadtest.chart import log_ticks, nice_ticks
from trireme_cli.loadtest.http import Response
from trireme_cli.loadtest.loops import Pace
from trireme_cli.loadtest.page import charts, check_name, html, svg, write_report
from trireme_cli.loadtest.result import Limits, LoadResult, Subject
from trireme_cli.loadtest.tally import Lost, Tally

SVG = "{http://www.w3.org/2000/svg}"


def result(good: int, bad: int = 0, rate: float | None = None) -> LoadResult:
    tally = Tally()
    head = b"HTTP/1.1 200 OK\r\nx-cache: miss\r\n"
    for number in range(good):
        tally.note(number / 100, number / 100 + 0.001 * (1 + number % 50), 10, Response(200, head, b"{}"))
    for number in range(bad):
        tally.note(number / 10, number / 10 + 0.01, 10, Lost("reset", "gone <away>"))
    subject = Subject("<toy>", "http://127.0.0.1:8080", "predict", "tabular", 7, "2026-11-21T00:00:00+00:00")
    return LoadResult(subject, Pace(8, 1, 10, 1, rate), tally, stopped_early=False)


@pytest.mark.parametrize(("good", "bad", "number"), [(500, 5, 4), (1, 0, 4), (0, 3, 1), (0, 0, 1)])
def test_a_picture_of_every_kind_of_run(good: int, bad: int, number: int) -> None:
    found = result(good, bad)
    picture = Xml.fromstring(svg(found))
    assert len(picture.findall(f"{SVG}g")) == len(charts(found.tally)) == number
    assert "nan" not in svg(found)
    assert "Load test of <toy>" in "".join(picture.itertext())
    assert ("errors" in "".join(picture.itertext())) == ((bad > 0 and good > 0) or bad > 0)


def test_a_page_fetches_nothing_and_escapes_what_others_said() -> None:
    page = html(result(300, 2))
    assert "gone &lt;away&gt;" in page
    assert "<away>" not in page
    assert not re.search(r"(?:src|href|url)\s*[=(]", page)
    assert page.count("<svg") == page.count("</svg>") == 4
    assert "300 distinct" not in page
    assert "7 distinct requests" in page


def test_points_stay_inside_of_their_frame() -> None:
    for line in Xml.fromstring(svg(result(500, 5))).iter(f"{SVG}polyline"):
        points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        assert all(0 <= x <= 760 and 0 <= y <= 250 for x, y in points)


def test_files(tmp_path: Path) -> None:
    found = result(10)
    for name, start in (("a.html", "<!doctype html>"), ("b.SVG", "<svg ")):
        write_report(tmp_path / name, found)
        assert (tmp_path / name).read_text("utf-8").startswith(start)
    with pytest.raises(UsageFailure, match=r"\.html"):
        check_name(Path("report.pdf"))
    with pytest.raises(UsageFailure, match="No such file"):
        write_report(tmp_path / "nowhere" / "a.html", found)


@pytest.mark.parametrize(
    ("highest", "last"), [(0.0, 1.0), (0.9, 1.0), (7.0, 8.0), (100.0, 100.0), (1234, 1500)]
)
def test_ticks_reach_the_highest_value(highest: float, last: float) -> None:
    ticks = nice_ticks(highest)
    assert (ticks[0], ticks[-1]) == (0.0, last)
    assert 2 <= len(ticks) <= 7


def test_ticks_of_a_logarithm_enclose_the_values() -> None:
    assert [words for _, words in log_ticks(3, 40)] == ["2", "5", "10", "20", "50"]
    assert [words for _, words in log_ticks(0.02, 3000)] == ["0.01", "0.1", "1", "10", "100", "1000", "10000"]


def test_limits() -> None:
    found = result(99, 1)
    assert Limits(0.01, p99_ms=60, min_rate=1).missed(found) == []
    failed, slow, few = Limits(0.0, p99_ms=10, min_rate=1e6).missed(found)
    assert failed == "1.00% of the requests failed, 0.00% are allowed"
    assert "10 ms are allowed" in slow
    assert "1e+06 are wanted" in few
    assert Limits(1.0).missed(result(0)) == ["no request was answered, nor failed, within the time"]
    assert Limits(1.0, p99_ms=10).missed(result(0, 1)) == ["p99 is nan ms, 10 ms are allowed"]


def test_everything_for_programs() -> None:
    document = result(100, 1, rate=50.0).as_dict()
    assert (document["requests"], document["succeeded"], document["failed"]) == (101, 100, 1)
    assert (document["loop"], document["rate"], document["connections"]) == ("open", 50.0, 8)
    assert document["errors"] == {"reset": {"count": 1, "example": "gone <away>"}}
    assert document["x_cache"] == {"miss": 100}
    assert document["latency_ms"]["p50"] == pytest.approx(25, rel=0.06)
    assert sum(step["requests_per_second"] for step in document["timeline"]) * 0.25 == pytest.approx(100)
    assert result(0).as_dict()["latency_ms"]["p99"] is None
