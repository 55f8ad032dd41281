"""Files applied to a mesh: Fluid's example, changes in place, and what leaves all as it was."""

import json
from pathlib import Path

import pytest
import yaml

from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh, command
from tests.support.wait import wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"


def mount_secret(folder: Path, version: str, **keys: str) -> None:
    """As a kubelet does it: the files are links through ``..data``, which is swapped at once."""
    (folder / version).mkdir(parents=True)
    for key, value in keys.items():
        (folder / version / key).write_text(value)
        if not (folder / key).is_symlink():
            (folder / key).symlink_to(f"..data/{key}")
    (folder / "..data_tmp").symlink_to(version)
    (folder / "..data_tmp").rename(folder / "..data")


@pytest.fixture
def secret_root(tmp_path: Path, origin: Origin) -> Path:
    keys = {
        "aws.accessKeyId": origin.seaweed.access_key,
        "aws.secretKey": origin.seaweed.secret_key,
    }
    mount_secret(tmp_path / "secrets/s3-keys", "..1", **keys)
    return tmp_path / "secrets"


@pytest.fixture
def two(mesh: Mesh, secret_root: Path) -> tuple[Agent, Agent]:
    flags = ("--secret-root", str(secret_root), "--secret-env", "KEYS", "--file-root", "/nowhere")
    one, other = (mesh.agent(name, *flags) for name in ("one", "two"))
    one.start()
    other.start(join=one.gossip)
    wait_until(lambda: one.sees_alive(("one", "two")))
    return one, other


class Files:
    """The examples, of a bucket that there is; written anew where a test changes them."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        folder.mkdir()
        self.folder = folder
        for name in ("dataset.yaml", "fluid.yaml"):
            text = (EXAMPLES / name).read_text().replace("http://minio:9000", origin.cap.url)
            self.write(name, text.replace("s3://training", f"s3://{origin.bucket}"))

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    def datasets(self, name: str) -> str:
        """A file with the datasets of an example alone."""
        documents = yaml.safe_load_all((self.folder / name).read_text())
        text = yaml.safe_dump_all([one for one in documents if one["kind"] == "Dataset"])
        return self.write(f"only-{name}", text)


@pytest.fixture
def files(tmp_path: Path, origin: Origin) -> Files:
    for key in ("train/a", "train/b", "test/c"):
        origin.put(f"imagenet/{key}", key.encode())
    return Files(tmp_path / "files", origin)


def names(agent: Agent, dataset: str, path: str = "/") -> list[str]:
    return [entry["name"] for entry in agent.json("ls", dataset, path)]


def test_the_examples_are_applied_read_changed_and_deleted(
    two: tuple[Agent, Agent], files: Files, origin: Origin
) -> None:
    one, other = two
    given = ("-f", files.datasets("fluid.yaml"), "-f", files.datasets("dataset.yaml"))
    made = ["imagenet", "imagenet-short", "imagenet-train"]

    dry = one.run("apply", *given, "--dry-run")
    assert dry.stdout.splitlines() == [
        f"dataset.data.fluid.io/{name} created (dry run)" for name in made
    ]
    assert one.json("dataset", "list") == []
    done = one.run("apply", *given)
    assert done.stdout.splitlines() == [f"dataset.data.fluid.io/{name} created" for name in made]
    assert done.stderr == ""
    wait_until(lambda: len(other.ask("/v1/datasets")) == 3)
    for dataset, path in (("imagenet", "train/a"), ("imagenet-train", "a")):
        assert other.run("cat", dataset, path).stdout == "train/a"

    again = other.run("apply", *given)
    assert again.stdout.splitlines() == [f"dataset.data.fluid.io/{name} unchanged" for name in made]
    for output in ("yaml", "json"):
        got = one.run("get", "datasets", "-o", output).stdout
        back = one.run("apply", "-f", files.write(f"back.{output}", got))
        assert back.stdout.count(" unchanged\n") == 3, back.stdout
        assert back.stderr == ""

    refused = one.run("delete", "dataset", "imagenet-short", check=False)
    assert (refused.returncode, "is an origin of imagenet-train" in refused.stderr) == (1, True)
    gone = one.run("delete", *given)
    assert gone.stdout.splitlines() == [
        f'dataset.data.fluid.io "{name}" deleted' for name in reversed(made)
    ]
    again = one.run("delete", *given, check=False)
    assert (again.returncode, again.stderr.count("no dataset")) == (1, 3)
    assert one.run("delete", *given, "--ignore-not-found").stderr == ""


def test_the_whole_of_fluids_example_is_taken_with_its_warnings(
    two: tuple[Agent, Agent], files: Files
) -> None:
    one, _ = two
    done = one.run("apply", "-f", str(files.folder / "fluid.yaml"), "--dry-run")
    assert done.stdout.splitlines() == [
        "dataset.data.fluid.io/imagenet created (dry run)",
        "dataload.data.fluid.io/imagenet-warmup created (dry run)",
    ]
    assert [line.split(": ")[-2] for line in done.stderr.splitlines()] == [
        "spec.replicas",
        "spec.tieredstore.levels[0].high",
        "spec.tieredstore.levels[0].low",
        "spec.tieredstore.levels[0]",
        "spec.dataset.namespace",
    ]


def test_a_dataset_is_changed_in_place(
    two: tuple[Agent, Agent], files: Files, origin: Origin, tmp_path: Path
) -> None:
    one, other = two
    path = files.datasets("fluid.yaml")
    one.run("apply", "-f", path)
    before = one.json("dataset", "show", "imagenet")
    (tmp_path / "more").mkdir()
    (tmp_path / "more/file").write_text("more")
    document = yaml.safe_load(one.run("get", "dataset", "imagenet", "-o", "yaml").stdout)
    assert "secret:s3-keys/aws.secretKey" in str(document)

    document |= {"replicas": 2, "policy": "ttl", "ttl": "10m"}
    lists = origin.cap.cap.counts.other_requests
    done = one.run("apply", "-f", files.write("changed.yaml", yaml.safe_dump(document)))
    assert done.stdout == "dataset.data.fluid.io/imagenet configured\n"
    assert origin.cap.cap.counts.other_requests == lists, "nothing to be listed"
    after = one.json("dataset", "show", "imagenet")
    assert (after["generation"], after["replicas"], after["ttl"]) == (2, 2, 600.0)
    assert (after["created"], after["snapshot"]) == (before["created"], before["snapshot"])

    document["mounts"].append({"url": (tmp_path / "more").as_uri(), "path": "/more"})
    changed = files.write("changed.yaml", yaml.safe_dump(document))
    refused = one.run("apply", "-f", changed, check=False)
    assert (refused.returncode, "outside every --file-root" in refused.stderr) == (2, True)
    document["mounts"][-1] = {"url": f"s3://{origin.bucket}/none", "path": "/more"}
    document["mounts"][-1] |= {key: document["mounts"][0][key] for key in ("options", "secrets")}
    changed = files.write("changed.yaml", yaml.safe_dump(document))
    failed = one.run("apply", "-f", changed, check=False)
    assert (failed.returncode, "there is nothing there" in failed.stderr) == (1, True)
    assert one.json("dataset", "show", "imagenet") == after, "listed first, and nothing published"

    document["mounts"][-1]["url"] = f"s3://{origin.bucket}/imagenet/test"
    done = one.run("apply", "-f", files.write("changed.yaml", yaml.safe_dump(document)))
    assert done.stdout == "dataset.data.fluid.io/imagenet configured\n"
    wait_until(lambda: "more" in names(other, "imagenet"))
    assert other.run("cat", "imagenet", "more/c").stdout == "test/c"
    assert one.json("dataset", "show", "imagenet")["generation"] == 3


def test_a_mistake_in_one_document_changes_nothing_of_any(
    two: tuple[Agent, Agent], files: Files
) -> None:
    one, _ = two
    good = Path(files.datasets("fluid.yaml")).read_text()
    for bad, says in (
        ("kind: Dataset\nname: bad\nmounts: [ftp://x]\n", "mounts[0]: an origin's URL begins"),
        ("kind: Dataset\nname: bad\nmounts: [dataset://none]\n", "dataset://none: no such"),
        ("kind: Dataset\nname: bad\nmounts: [file:///etc]\n", "outside every --file-root"),
        ("kind: Dataset\nname: bad\nmounts: [pvc://claim]\n", "--pvc-root"),
        (
            "kind: Dataset\nname: bad\nmounts: [s3://bucket]\n"
            "secrets: {access_key: 'secret:none/key', secret_key: 'secret:none/key'}\n",
            "no --secret-root has it",
        ),
        (
            "kind: Dataset\nname: bad\nmounts: [s3://bucket]\n"
            "secrets: {access_key: 'env:HOME', secret_key: 'env:HOME'}\n",
            "--secret-env HOME",
        ),
    ):
        path = files.write("both.yaml", f"{good}\n---\n{bad}")
        refused = one.run("apply", "-f", path, check=False)
        (line,) = refused.stderr.splitlines()
        assert says in line
        assert (refused.returncode, refused.stdout) == (2, "")
        assert one.json("dataset", "list") == []


def test_stdin_is_read_and_what_cannot_be_listed_fails_alone(
    two: tuple[Agent, Agent], files: Files, origin: Origin
) -> None:
    one, _ = two
    good = Path(files.datasets("fluid.yaml")).read_text()
    bad = good.replace("name: imagenet", "name: other").replace(origin.bucket, "no-bucket")
    text = f"{good}\n---\n{bad}"
    done = command("apply", "-f", "-", "--socket", str(one.socket), check=False, given=text)
    assert done.returncode == 1
    assert done.stdout == "dataset.data.fluid.io/imagenet created\n"
    assert done.stderr.startswith("meshcache: dataset.data.fluid.io/other: s3://no-bucket")
    assert [row["name"] for row in one.json("dataset", "list")] == ["imagenet"]


def test_no_secret_stands_in_records_logs_or_answers_and_new_ones_are_taken(
    two: tuple[Agent, Agent], files: Files, origin: Origin, secret_root: Path, tmp_path: Path
) -> None:
    one, other = two
    right = {
        "aws.accessKeyId": origin.seaweed.access_key,
        "aws.secretKey": origin.seaweed.secret_key,
    }
    mount_secret(secret_root / "s3-keys", "..2", **right | {"aws.secretKey": "hunter2-wrong"})
    refused = one.run("apply", "-f", files.datasets("fluid.yaml"), check=False)
    assert (refused.returncode, "wrong secret key" in refused.stderr) == (1, True)
    mount_secret(secret_root / "s3-keys", "..3", **right)
    one.run("apply", "-f", files.datasets("fluid.yaml"))
    wait_until(lambda: (other.cache / "records").exists() and len(other.json("dataset", "list")))
    said = [one.run("get", "dataset", "-o", kind).stdout for kind in ("yaml", "json", "wide")]
    said += [one.run("dataset", "show", "imagenet", "-o", "json").stdout, refused.stderr]
    said += [agent.log.read_text() for agent in two]
    # The records are the whole of what gossip replicates.
    said += [(agent.cache / "records").read_bytes().decode("latin-1") for agent in two]
    assert any("secret:s3-keys/aws.secretKey" in text for text in said)
    for text in said:
        for secret in ("hunter2", origin.seaweed.secret_key):
            assert secret not in text
    assert json.loads(said[1])[0]["kind"] == "Dataset"


def test_loads_are_applied_shown_changed_and_deleted(
    two: tuple[Agent, Agent], files: Files
) -> None:
    one, _ = two
    one.run("apply", "-f", files.datasets("fluid.yaml"))
    (warmup,) = (
        document
        for document in yaml.safe_load_all((files.folder / "fluid.yaml").read_text())
        if document["kind"] == "DataLoad"
    )
    path = files.write("load.yaml", yaml.safe_dump(warmup))
    said = [one.run("apply", "-f", path).stdout for _ in range(2)]
    load = "dataload.data.fluid.io/imagenet-warmup"
    assert said == [f"{load} created\n", f"{load} unchanged\n"]
    got = one.run("get", "load", "imagenet-warmup", "-o", "yaml").stdout
    assert yaml.safe_load(got) == {
        "kind": "Load",
        "name": "imagenet-warmup",
        "dataset": "imagenet",
        "targets": [{"path": "/train", "replicas": 1}],
    }
    assert one.run("apply", "-f", files.write("got.yaml", got)).stdout == f"{load} unchanged\n"
    wait_until(lambda: one.ask("/v1/loads")[0]["phase"] == "Complete")
    short = (
        "kind: Load\nname: imagenet-warmup\ndataset: imagenet\npaths: [test, 'train/*']\nttl: 1h\n"
    )
    assert one.run("apply", "-f", files.write("got.yaml", short)).stdout == f"{load} configured\n"
    assert one.run("delete", "-f", path).stdout == (
        'dataload.data.fluid.io "imagenet-warmup" deleted\n'
    )
    assert one.run("get", "loads").stdout == ""


@pytest.mark.fuse
def test_a_mount_that_is_there_shows_what_a_change_added(
    mesh: Mesh, two: tuple[Agent, Agent], files: Files, origin: Origin
) -> None:
    one, other = two
    one.run("apply", "-f", files.datasets("fluid.yaml"))
    wait_until(lambda: other.ask("/v1/datasets") != [])
    mounted = mesh.mount(other, "imagenet")
    held_open = (mounted / "train/a").open()
    document = yaml.safe_load(one.run("get", "dataset", "imagenet", "-o", "yaml").stdout)
    first = document["mounts"][0]
    more = first | {"url": f"s3://{origin.bucket}/imagenet/test", "path": "/more"}
    document["mounts"].append(more)
    one.run("apply", "-f", files.write("changed.yaml", yaml.safe_dump(document)))
    wait_until(lambda: (mounted / "more/c").exists(), within=20)
    assert (mounted / "more/c").read_text() == "test/c"
    assert (mounted / "train/b").read_text() == "train/b"
    with held_open:
        assert held_open.read() == "train/a"
