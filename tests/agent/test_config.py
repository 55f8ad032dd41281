import shutil
from pathlib import Path
from typing import Any

import pytest

import meshcache
from meshcache.agent.address import HostPort
from meshcache.agent.config import AgentConfig
from meshcache.agent.config import docs as config_docs
from meshcache.agent.config.sources import flag_of, key_of, load, variable_of
from meshcache.agent.paths import default_cache_dir, default_socket
from meshcache.agent.trust import meshkey
from meshcache.errors import EnvironmentUnfit, InvalidInput
from meshcache.units import GIB, MIB


def of(flags: dict[str, Any] | None = None, **variables: str) -> AgentConfig:
    return load(flags, environ={f"MESHCACHE_{key}": value for key, value in variables.items()})


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "meshcache.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "mesh.key"
    meshkey.write(path, meshkey.generate())
    return str(path)


def test_without_any_setting_it_is_a_mesh_of_one_on_loopback() -> None:
    config = of()
    assert config.listen == HostPort("127.0.0.1", 7440)
    assert config.gossip == HostPort("127.0.0.1", 7441)
    assert config.loopback
    assert config.join == []
    assert config.role == "cache"


def test_a_flag_wins_over_a_variable_that_over_the_file_that_over_the_default(
    tmp_path: Path,
) -> None:
    file = written(tmp_path, "zone: from-file\nname: from-file\ncache-size: 3GiB\n")
    config = load(
        {"zone": "from-flag", "name": None, "join": []},
        file=file,
        environ={"MESHCACHE_ZONE": "from-variable", "MESHCACHE_NAME": "from-variable"},
    )
    assert (config.zone, config.name) == ("from-flag", "from-variable")
    assert config.cache_size == 3 * GIB
    assert config.log_level == "info"


def test_an_address_can_be_said_by_a_variable() -> None:
    config = of(LISTEN="127.0.0.1:7000", GOSSIP="[::1]:7001")
    assert (config.listen, config.gossip) == (
        HostPort("127.0.0.1", 7000),
        HostPort("::1", 7001),
    )


def test_the_file_can_be_named_by_a_variable(tmp_path: Path) -> None:
    assert of(CONFIG=str(written(tmp_path, "zone: a"))).zone == "a"


@pytest.mark.parametrize(
    "flags", [["a", "b:1"], ["a,b:1"], ["a, b:1 "]], ids=["repeated", "commas", "spaces"]
)
def test_a_list_can_be_repeated_or_written_with_commas(flags: list[str], key_file: str) -> None:
    expected = [HostPort("a", 7441), HostPort("b", 1)]
    assert of({"join": flags, "mesh_key_file": key_file}).join == expected
    assert of(JOIN=",".join(flags), MESH_KEY_FILE=key_file).join == expected


def test_lists_in_the_file_are_lists(tmp_path: Path, key_file: str) -> None:
    file = written(
        tmp_path, f"join: [a, '[::1]:2']\nmesh_key_file: {key_file}\nsecret-env: [A, B]\n"
    )
    config = load(file=file, environ={})
    assert config.join == [HostPort("a", 7441), HostPort("::1", 2)]
    assert config.secret_env == ["A", "B"]


def test_an_empty_variable_or_an_empty_file_is_not_set(tmp_path: Path) -> None:
    assert of(ZONE="", CACHE_SIZE="").zone == ""
    assert load(file=written(tmp_path, "# nothing\nzone:\n"), environ={}).zone == ""


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ({"cache_size": "10XB"}, "--cache-size: '10XB' is not a size: write bytes or a unit"),
        ({"cache_size": "0"}, "--cache-size: '0' is not a size"),
        ({"listen": "7440"}, "--listen: '7440' is not an address: write HOST:PORT"),
        ({"role": "owner"}, "--role: 'owner' cannot be: input should be 'cache' or 'guest'"),
        ({"name": "a b"}, "--name: 'a b' is not a name"),
        ({"log_level": "loud"}, "--log-level: 'loud' cannot be"),
        ({"advertise": "0.0.0.0"}, "--advertise: '0.0.0.0' is not a host that others can reach"),
        ({"advertise": "host:80"}, "--advertise: 'host:80' is not a host"),
        ({"join": [":7441"]}, "--join: ':7441' names no member"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_flag(flags: dict[str, Any], line: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        of(flags)
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


def test_a_value_that_cannot_be_is_named_with_its_variable_or_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"^MESHCACHE_ROLE: 'x' cannot be"):
        of(ROLE="x")
    file = written(tmp_path, "cache-size: lots")
    with pytest.raises(InvalidInput, match=rf"^cache-size in {file}: 'lots' is not a size"):
        load(file=file, environ={})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cache_sise: 1GiB", r"there is no key 'cache_sise': did you mean 'cache-size'\?"),
        ("Zone: a\nlisten-on: a", r"there is no key 'listen-on': did you mean 'listen'\?"),
        ("qqqqqq: 1", "there is no key 'qqqqqq'$"),
        ("- a\n- b", "write keys and values"),
        ("zone: [a\nname: b", "line 2: "),
        ("zone: !!python/object:os.system a", "could not determine a constructor"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(text: str, says: str, tmp_path: Path) -> None:
    file = written(tmp_path, text.replace("Zone: a\n", ""))
    with pytest.raises(InvalidInput, match=says) as refused:
        load(file=file, environ={})
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"configuration {tmp_path}/none: No such file"):
        load(file=tmp_path / "none", environ={})


@pytest.mark.parametrize("field", ["listen", "gossip"])
@pytest.mark.parametrize("address", [":7440", "10.0.0.1:7440", "node-1:7440", "[::]:7440"])
def test_beyond_loopback_there_must_be_a_mesh_key(field: str, address: str, key_file: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^--{field} .* needs --mesh-key-file"):
        of({field: address})
    assert not of({field: address, "mesh_key_file": key_file}).loopback


def test_to_join_there_must_be_a_mesh_key() -> None:
    with pytest.raises(InvalidInput, match="--join needs --mesh-key-file"):
        of({"join": ["seed"]})


def test_what_kubernetes_sets_for_a_service_called_meshcache_is_not_taken_for_a_setting() -> None:
    of(
        PORT="tcp://10.0.0.1:7440",
        SERVICE_HOST="10.0.0.1",
        SERVICE_PORT="7440",
        SERVICE_PORT_HTTP="7440",
        PORT_7440_TCP="tcp://10.0.0.1:7440",
        PORT_7440_TCP_ADDR="10.0.0.1",
    )


def test_secrets_and_files_may_be_anywhere_on_loopback_and_nowhere_beyond(key_file: str) -> None:
    alone = of()
    assert (alone.secret_roots, alone.secret_envs, alone.file_roots) == (None, None, None)
    meshed = of({"listen": ":0", "mesh_key_file": key_file})
    assert (meshed.secret_roots, meshed.secret_envs, meshed.file_roots) == ([], [], [])
    limited = of({"secret_root": ["/run/secrets"], "secret_env": ["A"]})
    assert limited.secret_roots == [Path("/run/secrets")]
    assert limited.secret_envs == ["A"]
    assert limited.file_roots is None


def test_the_address_to_tell_others_is_one_that_they_can_reach(key_file: str) -> None:
    everywhere = {"listen": ":7440", "mesh_key_file": key_file}
    assert of().advertised(HostPort("127.0.0.1", 5)) == HostPort("127.0.0.1", 5)
    toward = of(everywhere | {"join": ["127.0.0.1:7441"]})
    assert toward.advertised(HostPort("0.0.0.0", 5)) == HostPort("127.0.0.1", 5)
    told = of(everywhere | {"advertise": "fd00::7"})
    assert str(told.advertised(HostPort("0.0.0.0", 5))) == "[fd00::7]:5"


def test_the_address_to_tell_others_is_never_every_interface(key_file: str) -> None:
    config = of({"listen": ":7440", "mesh_key_file": key_file})
    try:
        assert not config.advertised(HostPort("0.0.0.0", 5)).everywhere
    except EnvironmentUnfit as no_route:
        assert "--advertise" in str(no_route)


def test_the_default_cache_size_is_half_of_what_is_free_or_cached_at_most(tmp_path: Path) -> None:
    config = of({"cache_dir": str(tmp_path / "not" / "yet" / "there")})
    half = shutil.disk_usage(tmp_path).free // 2
    assert config.cache_size == 10 * GIB or abs(config.cache_size - half) < half * 0.1
    assert 0 < config.cache_size <= 10 * GIB


def test_the_default_cache_size_does_not_shrink_as_the_cache_fills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shutil.disk_usage(tmp_path)
    (tmp_path / "blocks" / "ab").mkdir(parents=True)
    (tmp_path / "blocks" / "ab" / "block").write_bytes(bytes(8 * MIB))
    free = 100 * MIB
    monkeypatch.setattr(shutil, "disk_usage", lambda path: before._replace(free=free))
    assert of({"cache_dir": str(tmp_path)}).cache_size == (free + 8 * MIB) // 2


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    config = of({"cache_dir": "cache", "socket": "~/agent.sock"})
    assert config.cache_dir == tmp_path / "cache"
    assert config.socket == Path("/home/somebody/agent.sock")


def test_a_user_has_a_socket_and_a_cache_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    monkeypatch.setattr("meshcache.agent.paths.SYSTEM_SOCKET", Path("/nowhere/agent.sock"))
    assert default_socket({"XDG_RUNTIME_DIR": "/run/user/1000"}) == Path(
        "/run/user/1000/meshcache/agent.sock"
    )
    assert default_socket({}) == Path("/tmp/meshcache-1000/agent.sock")
    assert default_cache_dir({"XDG_CACHE_HOME": "/c"}) == Path("/c/meshcache")


@pytest.mark.parametrize("name", list(AgentConfig.model_fields))
def test_every_field_says_what_it_is_and_what_stands_after_its_flag(name: str) -> None:
    field = AgentConfig.model_fields[name]
    extra: Any = field.json_schema_extra
    assert field.description and field.description.endswith(".")
    assert (extra["unit"] == "") == (field.annotation is bool)
    assert flag_of(name)[2:] == key_of(name) == variable_of(name)[10:].lower().replace("_", "-")


def test_the_page_about_the_configuration_is_up_to_date() -> None:
    page = Path(meshcache.__file__).parents[1] / "docs" / "configuration.md"
    if not page.exists():
        pytest.skip("the docs are not beside an installed package")
    assert page.read_text() == config_docs.render(), (
        "run: python -m meshcache.agent.config.docs > docs/configuration.md"
    )
