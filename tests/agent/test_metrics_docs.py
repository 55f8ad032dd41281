"""The page of metrics is the table of metrics."""

from pathlib import Path

import pytest

import meshcache
from meshcache.agent.metrics import FAMILIES
from meshcache.agent.metrics import docs as metrics_docs


def test_the_page_of_metrics_is_up_to_date() -> None:
    assert meshcache.__file__ is not None
    page = Path(meshcache.__file__).parents[1] / "docs" / "metrics.md"
    if not page.exists():
        pytest.skip("the docs are not beside an installed package")
    assert page.read_text() == metrics_docs.render(), (
        "run: python -m meshcache.agent.metrics.docs > docs/metrics.md"
    )


def test_no_metric_stands_there_twice() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
