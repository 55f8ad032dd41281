"""Which secrets a node gives away, and to what it says no."""

from pathlib import Path

import pytest

from meshcache.errors import InvalidInput
from meshcache.secrets import MAX_SECRET, SecretSource


def open_source() -> SecretSource:
    """Of an agent that only its own machine can reach."""
    return SecretSource(roots=None, env=None, file_roots=None)


def closed_source(tmp_path: Path) -> SecretSource:
    """Of an agent in a mesh: what lies in ``keys``, and one variable."""
    (tmp_path / "keys").mkdir(exist_ok=True)
    (tmp_path / "data").mkdir(exist_ok=True)
    return SecretSource(
        roots=[tmp_path / "keys"], env=["S3_SECRET"], file_roots=[tmp_path / "data"]
    )


def test_a_files_last_newline_is_not_of_the_secret(tmp_path: Path) -> None:
    for written, secret in (("a b\n", "a b"), ("a", "a"), ("a\r\n", "a"), ("a\n\n", "a\n")):
        (tmp_path / "key").write_text(written, newline="")
        assert open_source().resolve(f"file:{tmp_path}/key") == secret


def test_a_variable_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_SECRET", "secret")
    assert open_source().resolve("env:S3_SECRET") == "secret"


def test_a_rotated_file_is_read_anew(tmp_path: Path) -> None:
    source = closed_source(tmp_path)
    for secret in ("one", "two"):
        (tmp_path / "keys/key").write_text(secret)
        assert source.resolve(f"file:{tmp_path}/keys/key") == secret


@pytest.mark.parametrize("ref", ["secret-itself", "file:", "env:", "http://x", "", "FILE:/x"])
def test_what_is_no_reference_is_refused_and_not_repeated(ref: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_source().resolve(ref)
    assert "secret-itself" not in str(caught.value)


@pytest.mark.parametrize("name", ["MESHCACHE_MESH_KEY_FILE", "meshcache_x", "MESHCACHE_"])
def test_the_agents_own_variables_are_never_given_away(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "secret")
    for source in (
        open_source(),
        SecretSource(roots=[], env=[name], file_roots=[]),
    ):
        with pytest.raises(InvalidInput, match="not given away"):
            source.resolve(f"env:{name}")


def test_a_variable_that_is_not_listed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER", "secret")
    with pytest.raises(InvalidInput, match="--secret-env OTHER"):
        closed_source(tmp_path).resolve("env:OTHER")


def test_a_variable_or_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="env:NOT_SET is not set"):
        open_source().resolve("env:NOT_SET")
    with pytest.raises(InvalidInput, match=r"file:/\S+/missing cannot be read: No such file"):
        open_source().resolve(f"file:{tmp_path}/missing")


def test_files_outside_the_roots_are_refused(tmp_path: Path) -> None:
    source = closed_source(tmp_path)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "keys-other").mkdir()
    (tmp_path / "keys-other/secret").write_text("secret")
    for path in ("secret", "keys/../secret", "keys-other/secret"):
        with pytest.raises(InvalidInput, match="outside every --secret-root"):
            source.resolve(f"file:{tmp_path}/{path}")


def test_links_may_lead_around_within_a_root_but_not_out(tmp_path: Path) -> None:
    source = closed_source(tmp_path)
    (tmp_path / "secret").write_text("outside")
    # As Kubernetes mounts a Secret.
    (tmp_path / "keys/..2026").mkdir()
    (tmp_path / "keys/..2026/key").write_text("inside")
    (tmp_path / "keys/..data").symlink_to("..2026")
    (tmp_path / "keys/key").symlink_to("..data/key")
    (tmp_path / "keys/leak").symlink_to(tmp_path / "secret")
    assert source.resolve(f"file:{tmp_path}/keys/key") == "inside"
    with pytest.raises(InvalidInput, match="outside every --secret-root"):
        source.resolve(f"file:{tmp_path}/keys/leak")


def test_a_root_may_itself_be_a_link(tmp_path: Path) -> None:
    closed_source(tmp_path)
    (tmp_path / "keys/key").write_text("secret")
    (tmp_path / "link").symlink_to("keys")
    source = SecretSource(roots=[tmp_path / "link"], env=[], file_roots=[])
    assert source.resolve(f"file:{tmp_path}/link/key") == "secret"


def test_nobody_learns_which_files_there_are_outside_the_roots(tmp_path: Path) -> None:
    source = closed_source(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        source.resolve(f"file:{tmp_path}/missing")
    assert "not allowed" in str(caught.value)
    with pytest.raises(InvalidInput, match="No such file"):
        source.resolve(f"file:{tmp_path}/keys/missing")


def test_what_cannot_be_a_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large").write_text("x" * (MAX_SECRET + 1))
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "folder").mkdir()
    for name in ("large", "empty", "binary", "folder"):
        with pytest.raises(InvalidInput) as caught:
            open_source().resolve(f"file:{tmp_path}/{name}")
        assert "\n" not in str(caught.value)
    with pytest.raises(InvalidInput, match="not absolute"):
        open_source().resolve("file:key")


def test_file_origins_are_served_below_the_file_roots_only(tmp_path: Path) -> None:
    source = closed_source(tmp_path)
    (tmp_path / "data/out").symlink_to(tmp_path)
    source.check_file_origin(f"file://{tmp_path}/data")
    source.check_file_origin(f"file://{tmp_path}/data/models")
    source.check_file_origin("s3://bucket")
    for path in ("", "keys", "data-other", "data/../keys", "data/%2e%2e/keys", "data/out/keys"):
        with pytest.raises(InvalidInput, match="outside every --file-root"):
            source.check_file_origin(f"file://{tmp_path}/{path}")
        with pytest.raises(InvalidInput):
            source.check_file_origin(f"FILE://{tmp_path}/{path}")
    open_source().check_file_origin("file:///anything")


def test_without_roots_no_file_is_given(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    source = SecretSource(roots=[], env=[], file_roots=[])
    with pytest.raises(InvalidInput):
        source.resolve(f"file:{tmp_path}/key")
    with pytest.raises(InvalidInput):
        source.check_file_origin(f"file://{tmp_path}")


def mounted(tmp_path: Path, **keys: str) -> SecretSource:
    """A node that has a Kubernetes Secret `s3` below its second root, as a kubelet mounts it."""
    folder = tmp_path / "secrets/s3"
    (folder / "..1").mkdir(parents=True)
    (folder / "..data").symlink_to("..1")
    for key, value in keys.items():
        (folder / "..1" / key).write_text(value)
        (folder / key).symlink_to(f"..data/{key}")
    roots = [tmp_path / "none", tmp_path / "secrets"]
    return SecretSource(roots=roots, env=[], file_roots=[])


def test_a_secrets_key_is_found_below_the_roots(tmp_path: Path) -> None:
    source = mounted(tmp_path, accessKey="one\n")
    assert source.resolve("secret:s3/accessKey") == "one"


def test_a_secret_that_the_kubelet_replaced_is_read_anew(tmp_path: Path) -> None:
    source = mounted(tmp_path, key="one")
    folder = tmp_path / "secrets/s3"
    (folder / "..2").mkdir()
    (folder / "..2/key").write_text("two")
    (folder / "..data_tmp").symlink_to("..2")
    (folder / "..data_tmp").rename(folder / "..data")
    assert source.resolve("secret:s3/key") == "two"


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("secret:s3", "write secret:NAME/KEY"),
        ("secret:../s3/key", "write secret:NAME/KEY"),
        ("secret:s3/..", "write secret:NAME/KEY"),
        ("secret:s3/../key", "write secret:NAME/KEY"),
        ("secret:/etc/passwd", "write secret:NAME/KEY"),
        ("secret:s3/other", "no --secret-root has it"),
        ("secret:s4/key", "no --secret-root has it"),
        ("secret:s3/leak", "outside every --secret-root"),
    ],
)
def test_what_is_no_key_of_a_mounted_secret_is_refused(ref: str, says: str, tmp_path: Path) -> None:
    source = mounted(tmp_path, key="one")
    (tmp_path / "outside").write_text("leaked")
    (tmp_path / "secrets/s3/leak").symlink_to(tmp_path / "outside")
    with pytest.raises(InvalidInput, match=says):
        source.resolve(ref)


def test_without_a_root_no_mounted_secret_is_looked_for() -> None:
    with pytest.raises(InvalidInput, match="needs a --secret-root"):
        open_source().resolve("secret:s3/key")
