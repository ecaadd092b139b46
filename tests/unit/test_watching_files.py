"""The alert rules and the dashboard in the docs are PromQL, about metrics and labels that there are."""

import json
import re
from pathlib import Path

import pytest
import yaml
from promql import NotPromql, parse

DOCS = Path(__file__).parents[2] / "docs"
_ENDS = {"gauge": ("",), "counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
# What Prometheus adds itself.
_EVERYWHERE = {"instance", "job"}


def expressions() -> list[str]:
    """Return every expression of the rules and of the dashboard."""
    rules = yaml.safe_load((DOCS / "prometheus-alerts.yaml").read_text(encoding="utf-8"))
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return asked + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def documented() -> dict[str, set[str]]:
    """Return the labels of each metric, as docs/monitoring.md names them."""
    text = (DOCS / "monitoring.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \| ([^|]*)\|", text, re.MULTILINE)
    return {
        name + end: set(re.findall(r"`(\w+)`", labels)) | ({"le"} if end == "_bucket" else set())
        for name, kind, labels in rows
        for end in _ENDS[kind]
    }


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_asks_for_what_there_is(expression: str) -> None:
    """It parses, each metric is documented, and so is each label that it is matched or grouped by."""
    asked, known = parse(expression), documented()
    assert asked.metrics
    for name, labels in asked.metrics:
        assert set(labels) <= known[name] | _EVERYWHERE
    shared = set.union(*(known[name] for name, _ in asked.metrics))
    assert set(asked.grouped_by) <= shared | _EVERYWHERE


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "a >",
        "sum(a",
        "sum by target (a)",
        "rate(a)",
        "a[5m] > 1",
        "rte(a[5m])",
        'a{b="c}',
        "a b",
        "a{b}",
    ],
)
def test_what_is_no_expression_is_refused(broken: str) -> None:
    """The reader of these tests is no rubber stamp."""
    with pytest.raises(NotPromql):
        parse(broken)
