"""Tests that run Helm itself."""

import pytest

from tests.helm.charts import PROGRAMS


@pytest.fixture(autouse=True)
def with_helm() -> None:
    if not all(program.exists() for program in PROGRAMS):
        pytest.skip("no Helm: .ci/setup gets it, on amd64")
