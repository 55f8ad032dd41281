"""Of which pods the API server asks the webhook: of those that want a dataset, and of no others.

The expressions are evaluated by CEL's own library (in C++; Kubernetes has the one in Go).
"""

from functools import cache
from typing import Any

import pytest
from cel_expr_python import cel
from hypothesis import given
from hypothesis import strategies as st

from meshcache.agent.webhook.asks import wants_injection
from meshcache.agent.webhook.names import ASKING, DATASETS, INJECT, MIRROR, REFUSING
from tests.helm.charts import Object, rendered
from tests.webhook.reviews import NAMES, ask, review


@cache
def compiled(expression: str) -> Any:
    return cel.NewEnv(variables={"object": cel.Type.DYN}).compile(expression)


def is_asked_of(pod: Object, namespace: str = "team-a", kube: str = "1.37.0") -> bool:
    """Whether the API server asks the webhook about a new pod."""
    hook = rendered("default", kube=kube).webhook()
    (away,) = hook["namespaceSelector"]["matchExpressions"]
    wanted = hook.get("objectSelector", {}).get("matchLabels", {})
    return (
        namespace not in away["values"]
        and wanted.items() <= pod["metadata"].get("labels", {}).items()
        and all(holds(one["expression"], pod) for one in hook.get("matchConditions", ()))
    )


def holds(expression: str, pod: Object) -> bool:
    value = compiled(expression).eval(data={"object": pod}).value()
    assert isinstance(value, bool), value  # an error is text
    return value


@pytest.mark.parametrize("name", NAMES)
def test_it_is_asked_of_the_recorded_pods_that_want_a_dataset(name: str) -> None:
    asked = review(name)
    pod = asked["request"]["object"]
    assert is_asked_of(pod) == wants_injection(pod)
    assert is_asked_of(pod) or "patch" not in ask(asked)


_names = st.sampled_from(["app", *ASKING, *REFUSING])
_labels = st.dictionaries(_names, st.sampled_from(["true", "false", "eci", ""]), max_size=3)
_annotations = st.dictionaries(st.sampled_from(["note", DATASETS, MIRROR]), st.just("models:/data"))
_metadata = st.fixed_dictionaries({}, optional={"labels": _labels, "annotations": _annotations})


@given(_metadata)
def test_it_is_asked_of_just_the_pods_that_want_a_dataset(metadata: Object) -> None:
    pod = {"metadata": metadata, "spec": {"containers": []}}
    assert is_asked_of(pod) == wants_injection(pod)


@pytest.mark.parametrize("namespace", ["mc", "kube-system"])
def test_it_is_not_asked_of_pods_of_its_own_namespace_and_of_the_clusters(namespace: str) -> None:
    pod = {"metadata": {"labels": {INJECT: "true"}}}
    assert is_asked_of(pod)
    assert not is_asked_of(pod, namespace)


def test_before_1_28_a_label_alone_selects() -> None:
    kube = "1.27.0"
    assert is_asked_of({"metadata": {"labels": {INJECT: "true", "app": "x"}}}, kube=kube)
    assert not is_asked_of({"metadata": {"annotations": {DATASETS: "models:/data"}}}, kube=kube)
