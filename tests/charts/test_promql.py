"""What the checks read of PromQL."""

from __future__ import annotations

import pytest

from tests.charts import promql


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("up", {"up"}),
        ('sum(rate(a_total{job="x",b=~"}{("}[5m]))', {"a_total"}),
        ("histogram_quantile(0.99, sum by (le, model) (rate(a_bucket[$__rate_interval])))", {"a_bucket"}),
        ("sum(a) by (pod) / on (pod) group_left (node) b offset 5m > bool 1.5e3", {"a", "b"}),
        ("topk(5, a) unless ignoring(x) b or vector(0)", {"a", "b"}),
        ("avg_over_time(trireme:slow:ratio[1h:5m] @ end()) - -a", {"trireme:slow:ratio", "a"}),
        ("sum without (pod) (a) and c == 0x1F", {"a", "c"}),
        ("sum", {"sum"}),
    ],
)
def test_metrics_of_a_query(query: str, names: set[str]) -> None:
    assert promql.metrics(query) == names


@pytest.mark.parametrize(
    ("query", "single"),
    [
        ("sum(a)", True),
        ("a", False),
        ("rate(a[1m])", False),
        ("sum by (pod) (a)", False),
        ("sum(a) without (pod)", False),
        ("sum(rate(a[1m])) / 1000000 + sum(b)", True),
        ("sum(a) + b", False),
        ("clamp_min(max(a), 1)", True),
        ("histogram_quantile(0.9, sum by (le) (rate(a_bucket[1m])))", True),
        ("histogram_quantile(0.9, rate(a_bucket[1m]))", False),
        ("topk(1, a)", False),
        ("scalar(a) * vector(2)", True),
        ("sum(sum by (pod) (a))", True),
        ("time()", True),
    ],
)
def test_whether_a_query_gives_one_series(query: str, single: bool) -> None:
    assert promql.is_one_series(query) is single


@pytest.mark.parametrize("query", ["", "sum(a", "a b", "sum(a))", "a{", "a +", "sum by le (a)", "a ~ b"])
def test_what_is_no_promql_is_refused(query: str) -> None:
    with pytest.raises(promql.BadQuery):
        promql.parse(query)
