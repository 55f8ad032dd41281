"""What is made of Fluid's objects and of our short form, what is warned of, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from meshcache.agent.loads import NewLoad, Target
from meshcache.agent.specs import Plan, plan
from meshcache.agent.specs.documents import documents
from meshcache.agent.specs.options import OPTIONS, PATH_STYLE, SCHEMES, SECRETS
from meshcache.dataset import Dataset, Mount
from meshcache.origin.s3_place import FLAVOURS

EXAMPLES = Path(__file__).parents[2] / "examples"


def planned(text: str) -> Plan:
    return plan(documents("f", text))


def fluid(kind: str, spec: dict[str, Any], **metadata: Any) -> str:
    api = "data.fluid.io/v1alpha1"
    metadata = {"name": "data", **metadata}
    return yaml.safe_dump({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec})


def secret(name: str, key: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "keys", "key": key}}}


def dataset(spec: dict[str, Any], **metadata: Any) -> Dataset:
    made = planned(fluid("Dataset", spec, **metadata))
    assert (made.errors, made.warnings) == ([], [])
    return made.datasets[0]


def warnings(text: str) -> dict[str, str]:
    """Field -> why, of a text without errors."""
    made = planned(text)
    assert made.errors == []
    found = {}
    for warning in made.warnings:
        place, what, rest = warning.split(": ", 2)
        assert place.startswith("f:")
        assert what
        path, _, why = rest.rpartition(": ")
        found[path] = why
    return found


# --- Fluid's Dataset ----------------------------------------------------------------------------


def test_a_dataset_of_alluxio_is_taken() -> None:
    spec = {
        "mounts": [
            {
                "mountPoint": "s3a://bucket/data",
                "name": "train",
                "options": {
                    "alluxio.underfs.s3.endpoint": "http://minio:9000",
                    "alluxio.underfs.s3.endpoint.region": "us-west-1",
                    "alluxio.underfs.s3.disable.dns.buckets": "true",
                },
                "encryptOptions": [
                    secret("aws.accessKeyId", "id"),
                    secret("aws.secretKey", "secret"),
                ],
                "readOnly": True,
                "shared": True,
            }
        ],
        "accessModes": ["ReadOnlyMany"],
        "placement": "Shared",
    }
    assert dataset(spec, namespace="team") == Dataset(
        "data",
        (
            Mount(
                "s3://bucket/data",
                "/train",
                {
                    "endpoint": "http://minio:9000",
                    "region": "us-west-1",
                    "addressing": "path",
                },
                {"access_key": "secret:keys/id", "secret_key": "secret:keys/secret"},
                "train",
            ),
        ),
        namespaces=("team",),
    )


def test_a_dataset_of_jindo_is_taken_with_its_shared_options() -> None:
    spec = {
        "mounts": [
            {"mountPoint": "oss://bucket/a", "name": "a", "path": "/"},
            {"mountPoint": "oss://other.oss-cn-x.aliyuncs.com/b", "name": "b"},
            {"mountPoint": "https://mirror.example/spark/", "name": "web", "path": "/web/spark"},
        ],
        "sharedOptions": {"fs.oss.endpoint": "oss-cn-hongkong-internal.aliyuncs.com"},
        "sharedEncryptOptions": [
            secret("fs.oss.accessKeyId", "id"),
            secret("fs.oss.accessKeySecret", "secret"),
        ],
    }
    made = dataset(spec)
    assert made.options == {"endpoint": "https://oss-cn-hongkong-internal.aliyuncs.com"}
    assert made.secret_options == {
        "access_key": "secret:keys/id",
        "secret_key": "secret:keys/secret",
    }
    assert made.mounts == (
        Mount("oss://bucket/a", "/", name="a"),
        Mount("oss://other/b", "/b", {"endpoint": "https://oss-cn-x.aliyuncs.com"}, name="b"),
        Mount("https://mirror.example/spark/", "/web/spark", name="web"),
    )


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("s3n://bucket/x", "s3://bucket/x"),
        ("cosn://b-1/x", "cos://b-1/x"),
        ("local:///mnt/data", "file:///mnt/data"),
        ("pvc://claim/path", "pvc://claim/path"),
        ("dataset://default/other/path", "dataset://other/path"),
        ("dataset://default/other", "dataset://other"),
        ("https://host/dir/", "https://host/dir/"),
    ],
)
def test_a_mount_point_of_fluid_is_an_origin(given: str, url: str) -> None:
    mount = {"mountPoint": given, "name": "m", "options": {"endpoint": "http://h"}}
    assert dataset({"mounts": [mount]}).mounts[0].url == url


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ("minio.default.svc:9000", "http://minio.default.svc:9000"),
        ("oss-cn-x.aliyuncs.com", "https://oss-cn-x.aliyuncs.com"),
        ("host:443", "https://host:443"),
        ("https://host:9000", "https://host:9000"),
    ],
)
def test_an_endpoint_without_a_scheme_gets_one(given: str, endpoint: str) -> None:
    mount = {"mountPoint": "s3://bucket", "name": "m", "options": {"fs.s3.endpoint": given}}
    assert dataset({"mounts": [mount]}).mounts[0].options == {"endpoint": endpoint}


def test_what_has_no_meaning_here_is_named_with_its_place_and_reason() -> None:
    spec = {
        "mounts": [
            {
                "mountPoint": "s3://bucket",
                "name": "m",
                "readOnly": False,
                "shared": False,
                "options": {"alluxio.underfs.s3.inherit.acl": "false"},
                "encryptOptions": [secret("fs.unheard.of", "x")],
                "colour": "red",
            }
        ],
        "owner": {"uid": 1000, "gid": 1000},
        "nodeAffinity": {"required": {}},
        "tolerations": [],
        "accessModes": ["ReadWriteMany"],
        "placement": "Exclusive",
        "runtimes": [],
    }
    found = warnings(fluid("Dataset", spec, labels={"a": "b"}))
    assert found == {
        "metadata.labels": "meshcache keeps no such metadata",
        "spec.mounts[0].readOnly": "a mount is always read-only",
        "spec.mounts[0].shared": "a mount is always shared",
        "spec.mounts[0].options.alluxio.underfs.s3.inherit.acl": "meshcache has no such option",
        "spec.mounts[0].encryptOptions.fs.unheard.of": "meshcache has no such secret option",
        "spec.mounts[0].colour": "meshcache knows no such field",
        "spec.owner": "files belong to who mounts them",
        "spec.nodeAffinity": "every dataset is cached on every member of the mesh",
        "spec.tolerations": "every dataset is cached on every member of the mesh",
        "spec.accessModes": "a mount is always ReadOnlyMany",
        "spec.placement": "the datasets of a mesh share its members",
        "spec.runtimes": "meshcache needs no runtime",
    }


# --- Fluid's DataLoad and runtimes ----------------------------------------------------------------


def test_a_load_of_fluid_is_taken() -> None:
    spec = {
        "dataset": {"name": "data", "namespace": "default"},
        "loadMetadata": True,
        "target": [{"path": "/a", "replicas": 2}, {"path": "/b"}],
        "options": {"loadMetadataOnly": "true", "threadNum": "50"},
        "policy": "Once",
        "runAfter": {"kind": "DataLoad", "name": "first", "namespace": "default"},
        "ttlSecondsAfterFinished": 300,
        "tolerations": [],
    }
    text = fluid("DataLoad", spec, name="warm")
    assert planned(text).loads == [
        NewLoad(
            name="warm",
            dataset="data",
            targets=(Target("/a", 2), Target("/b")),
            metadata_only=True,
            run_after="first",
            ttl=300.0,
        )
    ]
    assert warnings(text).keys() == {
        "spec.dataset.namespace",
        "spec.options.threadNum",
        "spec.runAfter.namespace",
        "spec.tolerations",
    }


def test_a_load_by_schedule_is_taken() -> None:
    spec = {"dataset": {"name": "data"}, "policy": "Cron", "schedule": "*/10 * * * *"}
    assert planned(fluid("DataLoad", spec)).loads == [
        NewLoad(name="data", dataset="data", policy="Cron", schedule="*/10 * * * *")
    ]


def test_a_runtimes_tiers_are_told_as_the_flags_of_agents() -> None:
    levels = [
        {"mediumtype": "MEM", "path": "/dev/shm", "quota": "20Gi", "high": "0.95", "low": "0.7"},
        {"mediumtype": "SSD", "path": "/a,/b", "quotaList": "100Gi,50Gi"},
    ]
    spec = {"replicas": 2, "tieredstore": {"levels": levels}, "fuse": {"args": []}}
    for kind in ("JindoRuntime", "AlluxioRuntime", "JuiceFSRuntime", "CacheRuntime"):
        found = warnings(fluid(kind, spec))
        start = "a store is set on each agent, by"
        assert found["spec.tieredstore.levels[0]"] == (
            f"{start} --cache-dir /dev/shm --cache-size 20.00GiB"
        )
        assert found["spec.tieredstore.levels[1]"] == (
            f"{start} --cache-dir /a --cache-size 150.00GiB"
        )
        assert found["spec.replicas"] == "it is about the processes of Fluid's engine"
        assert "spec.fuse" in found
        assert "spec.tieredstore.levels[0].high" in found


def test_other_objects_are_left_out_with_a_warning_that_shows_no_secret() -> None:
    made = planned(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {key: hunter2}\n---\n"
        "apiVersion: v1\nkind: Pod\nmetadata: {name: pod}\n---\n"
        "apiVersion: data.fluid.io/v1alpha1\nkind: DataMigrate\nmetadata: {name: move}\n"
    )
    assert made.errors == []
    assert made.warnings == [
        "f:1: Secret keys: mount it as the folder of its name below each agent's --secret-root",
        "f:6: Pod pod: only objects of Fluid are taken, and our own without an apiVersion",
        "f:10: DataMigrate move: meshcache has nothing of this kind",
    ]


# --- our short form -----------------------------------------------------------------------------


def test_the_short_form_is_taken() -> None:
    made = planned(
        """
kind: Dataset
name: data
mounts:
  - s3://bucket/a
  - {url: "https://host/list.txt", path: /web, options: {list: true}}
options: {region: eu-west-1}
secrets: {access_key: "env:A", secret_key: "file:/keys/secret"}
blockSize: 1MiB
replicas: 2
policy: ttl
ttl: 10m
refreshEvery: 1h
namespaces: [a, b]
---
kind: Load
dataset: data
paths: [a, "b/*"]
targets: [{path: c, replicas: 2}]
exclude: ["*.tmp"]
files: []
metadataOnly: true
zones: [z]
nodes: [n]
all: true
rate: 100MiB
ttl: 1h
replicas: 3
"""
    )
    assert (made.errors, made.warnings) == ([], [])
    assert made.datasets == [
        Dataset(
            "data",
            (
                Mount("s3://bucket/a"),
                Mount("https://host/list.txt", "/web", {"list": "true"}),
            ),
            options={"region": "eu-west-1"},
            secret_options={"access_key": "env:A", "secret_key": "file:/keys/secret"},
            block_size=1 << 20,
            replicas=2,
            policy="ttl",
            ttl=600.0,
            refresh_every=3600.0,
            namespaces=("a", "b"),
        )
    ]
    assert made.loads == [
        NewLoad(
            dataset="data",
            paths=("a", "b/*"),
            targets=(Target("c", 2),),
            exclude=("*.tmp",),
            files=(),
            metadata_only=True,
            replicas=3,
            zones=("z",),
            nodes=("n",),
            all=True,
            rate=100 << 20,
            ttl=3600.0,
        )
    ]


def test_an_unknown_field_of_the_short_form_is_named() -> None:
    text = "kind: Dataset\nname: a\nmounts: [{url: 's3://bucket', readOnly: true}]\nrefresh: 5m\n"
    assert warnings(text) == {
        "refresh": "meshcache knows no such field",
        "mounts[0].readOnly": "meshcache knows no such field",
    }


def test_the_examples_are_taken_without_errors() -> None:
    made = plan(
        document
        for name in ("dataset.yaml", "fluid.yaml")
        for document in documents(name, (EXAMPLES / name).read_text())
    )
    assert made.errors == []
    assert {each.name for each in made.datasets} >= {"imagenet", "imagenet-short"}
    assert {load.name for load in made.loads} >= {"imagenet-warmup"}


# --- errors -------------------------------------------------------------------------------------

SPEC = {"mounts": [{"mountPoint": "s3://bucket", "name": "m"}]}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("name: a", "f:1: a: kind: is missing: write Dataset or Load"),
        (
            "kind: DataLoad\nname: a",
            "f:1: DataLoad a: kind: is Dataset or Load, or an object of Fluid with its apiVersion, "
            "not 'DataLoad'",
        ),
        ("kind: Dataset\nname: a", "f:1: Dataset a: mounts: is missing"),
        (
            "kind: Dataset\nname: a\nmounts: []",
            "f:3: Dataset a: mounts: list should have at least 1 item after validation, not 0",
        ),
        (
            "kind: Dataset\nname: A_b\nmounts: ['s3://bucket']",
            "f:1: Dataset A_b: 'A_b' is not a dataset name: use a-z, 0-9, '-' and '.', at most 63",
        ),
        (
            "kind: Dataset\nname: a\nmounts:\n- s3://bucket\n- {url: 'ftp://x', path: /x}",
            "f:5: Dataset a: mounts[1]: an origin's URL begins with ",
        ),
        (
            "kind: Dataset\nname: a\nmounts: ['s3://bucket']\noptions: {endpiont: x}",
            "f:3: Dataset a: mounts[0]: 'endpiont' is not an option of an origin",
        ),
        (
            "kind: Dataset\nname: a\nmounts: ['s3://bucket']\nsecrets:\n  secret_key: hunter2",
            "f:3: Dataset a: mounts[0]: secret_key takes where the secret is, never the secret",
        ),
        (
            "kind: Dataset\nname: a\nmounts: ['s3://bucket']\nblockSize: large",
            "f:4: Dataset a: blockSize: 'large' is not a size",
        ),
        (
            "kind: Dataset\nname: a\nmounts: ['s3://bucket']\nttl: soon",
            "f:4: Dataset a: ttl: 'soon' is not a duration",
        ),
        (
            "kind: Dataset\nname: a\nmounts: ['s3://bucket']\npolicy: never",
            "f:4: Dataset a: policy: input should be 'immutable', 'ttl' or 'check-on-open'",
        ),
        (
            "kind: Dataset\nname: a\nmounts: ['s3://bucket']\nreplicas: many",
            "f:4: Dataset a: replicas: input should be a valid integer",
        ),
        (
            "kind: Dataset\nname: a\nmounts: ['s3://b1b']\n---\nkind: Dataset\nname: a\n"
            "mounts: ['s3://b2b']",
            "f:5: Dataset a: dataset a is given already, at f:1",
        ),
        (
            "kind: Load\ndataset: a\npolicy: Cron",
            "f:1: Load: the policy Cron needs a schedule",
        ),
        (
            fluid("Dataset", {"mounts": [{"name": "m"}]}),
            "f:7: Dataset data: spec.mounts[0].mountPoint: is missing",
        ),
        (
            fluid("Dataset", {"mounts": [{"mountPoint": "hdfs://namenode/x", "name": "m"}]}),
            "f:7: Dataset data: spec.mounts[0]: an origin's URL begins with ",
        ),
        (
            fluid(
                "Dataset",
                {
                    "mounts": [
                        {
                            "mountPoint": "oss://bucket/x",
                            "options": {"fs.oss.accessKeySecret": "hunter2"},
                        }
                    ]
                },
            ),
            "f:9: Dataset data: spec.mounts[0].options.fs.oss.accessKeySecret: a secret in plain "
            "text would travel to every member",
        ),
        (
            fluid("DataLoad", {"dataset": {"name": "data"}, "policy": "Often"}),
            "f:8: DataLoad data: spec.policy: input should be 'Once', 'Cron' or 'OnEvent'",
        ),
        (
            fluid("DataLoad", {"dataset": {"name": "d"}, "policy": "Cron", "schedule": "0 3 * *"}),
            "f:9: DataLoad data: spec.schedule: '0 3 * *' is not a schedule",
        ),
        (
            fluid("DataLoad", {"dataset": {"name": "d"}, "target": [{"path": "/a["}]}),
            "f:1: DataLoad data: 'a[' has a [ without its ]",
        ),
        (
            fluid(
                "DataLoad",
                {"dataset": {"name": "d"}, "runAfter": {"kind": "DataMigrate", "name": "x"}},
            ),
            "f:9: DataLoad data: spec.runAfter.kind: input should be 'DataLoad'",
        ),
        (
            fluid(
                "JindoRuntime",
                {"tieredstore": {"levels": [{"mediumtype": "MEM", "quota": "much"}]}},
            ),
            "f:8: JindoRuntime data: spec.tieredstore.levels[0]: 'much' is not a size",
        ),
    ],
)
def test_a_mistake_is_told_with_file_line_and_field(text: str, error: str) -> None:
    (told,) = planned(text).errors
    assert told.startswith(error)
    assert "\n" not in told
    assert "hunter2" not in told


def test_all_mistakes_of_all_documents_are_told() -> None:
    made = planned(
        f"kind: Dataset\nmounts: []\n---\n{fluid('Dataset', SPEC)}\n---\nkind: Load\nrate: x\n"
    )
    assert [error.split(": ", 2)[2].split(":")[0] for error in made.errors] == [
        "name",
        "mounts",
        "dataset",
        "rate",
    ]


def test_a_field_without_a_value_is_not_given() -> None:
    api = "apiVersion: data.fluid.io/v1alpha1"
    assert warnings(f"{api}\nkind: AlluxioRuntime\nmetadata: {{name: x}}\nspec:\n") == {}
    mount = "{mountPoint: 's3://bucket', name: m, options: }"
    text = f"{api}\nkind: Dataset\nmetadata: {{name: x}}\nspec:\n  mounts: [{mount}]\n  owner:\n"
    assert warnings(text) == {}


def test_the_page_has_every_name_of_every_option() -> None:
    page = (EXAMPLES.parent / "docs" / "datasets.md").read_text()
    for name in (*OPTIONS, *SECRETS, *PATH_STYLE):
        assert f"`{name}`" in page, name
    for scheme in (*FLAVOURS, *SCHEMES):
        assert f"`{scheme}://" in page, scheme
