"""Whatever a pod looks like: patched twice is patched once, and nothing of it is lost."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshcache.agent.webhook.inject import inject
from meshcache.agent.webhook.settings import SidecarSettings
from tests.webhook.reviews import DATASETS, key_for

_names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
_paths = st.lists(_names, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))

_coin: st.SearchStrategy[bool] = st.booleans()


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    volumes = draw(st.lists(_names, max_size=5, unique=True))
    made = [{"name": name} | draw(_sources) for name in volumes]
    names = iter(draw(st.lists(_names, min_size=6, max_size=6, unique=True)))

    def container() -> dict[str, Any]:
        one: dict[str, Any] = {"name": next(names), "image": "i"}
        coin = draw(_coin)
        if volumes and coin:
            places = draw(st.lists(_paths, max_size=3, unique=True))
            one["volumeMounts"] = [
                {"name": draw(st.sampled_from(volumes)), "mountPath": place} | draw(_details)
                for place in places
            ]
        return one

    spec: dict[str, Any] = {"containers": [container() for _ in range(draw(st.integers(1, 3)))]}
    coin = draw(_coin)
    if made or coin:
        spec["volumes"] = made
    if draw(st.booleans()):
        spec["initContainers"] = [container() for _ in range(draw(st.integers(0, 3)))]
    metadata: dict[str, Any] = {"generateName": "p-", "labels": draw(_labels)}
    if draw(st.booleans()):
        asked = draw(st.lists(st.sampled_from(DATASETS), max_size=2, unique=True))
        metadata["annotations"] = {
            "meshcache.io/datasets": ",".join(f"{name}:/zz/{name}" for name in asked)
        }
    return {"metadata": metadata, "spec": spec}


_sources = st.sampled_from(
    [{"persistentVolumeClaim": {"claimName": name}} for name in (*DATASETS, "own")]
    + [{"emptyDir": {}}]
)
_details: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {"readOnly": True}, {"subPath": "a/b"}, {"subPath": "c"}, {"subPathExpr": "$(X)"}]
)
_labels = st.sampled_from(
    [{}, {"meshcache.io/inject": "true"}, {"meshcache.io/inject": "false"}, {"app": "x"}]
)
_settings = st.builds(
    lambda mode, lifecycle: SidecarSettings.model_validate(
        {"mode": mode, "lifecycle": lifecycle, "fd-volume": {"csi": {"driver": "d.example"}}}
    ),
    st.sampled_from(["privileged", "platform", "fd", "none"]),
    st.sampled_from(["native", "classic"]),
)


def once(pod: dict[str, Any], settings: SidecarSettings) -> dict[str, Any]:
    done = inject(pod, settings, is_dataset=DATASETS.__contains__, key_for=key_for)
    return done.pod


@given(pods(), _settings)
def test_patching_twice_is_patching_once(pod: dict[str, Any], settings: SidecarSettings) -> None:
    first = once(pod, settings)
    assert once(first, settings) == first


@given(pods(), _settings)
def test_what_goes_in_is_left_as_it_was_and_nothing_of_it_is_lost(
    pod: dict[str, Any], settings: SidecarSettings
) -> None:
    before = copy.deepcopy(pod)
    after = once(pod, settings)
    assert pod == before
    for group in ("containers", "initContainers"):
        now = {one["name"]: one for one in after["spec"].get(group) or ()}
        for one in before["spec"].get(group) or ():
            there = {mount["mountPath"] for mount in now[one["name"]].get("volumeMounts") or ()}
            assert {mount["mountPath"] for mount in one.get("volumeMounts") or ()} <= there
            assert now[one["name"]]["image"] == one["image"]
    names = [volume["name"] for volume in after["spec"].get("volumes") or ()]
    assert len(set(names)) == len(names)
    assert {volume["name"] for volume in before["spec"].get("volumes") or ()} <= set(names)
