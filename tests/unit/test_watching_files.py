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
_EVERYWHERE, _ITS_OWN = {"instance", "job"}, {"up": set[str]()}


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
    return _ITS_OWN | {
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


@pytest.mark.parametrize("expression", expressions())
def test_series_of_two_daemons_are_never_matched_with_each_other(expression: str) -> None:
    """Targets of both may have one name, and Prometheus then refuses the whole rule."""
    for labels in re.findall(r"\bon \(([^)]*)\)", expression):
        assert set(labels.split(", ")) >= _EVERYWHERE


def test_one_daemon_of_two_that_is_gone_is_missed() -> None:
    """`absent` is silent as long as anybody tells of himself."""
    rules = yaml.safe_load((DOCS / "prometheus-alerts.yaml").read_text(encoding="utf-8"))
    (gone,) = (r for group in rules["groups"] for r in group["rules"] if r["alert"] == "BidderGone")
    assert {name for name, _ in parse(gone["expr"]).metrics} == {"bidder_ready", "up"}


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
