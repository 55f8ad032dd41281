"""Where an agent's configuration comes from: flags, environment, file; and what is wrong there."""

import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from meshcache.agent.config import ENV_PREFIX, AgentConfig
from meshcache.errors import InvalidInput


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> AgentConfig:
    """Put a configuration together.

    Args:
        flags: values given on the command line by the names of the fields; None is "not given".
        file: the YAML file; else the one that MESHCACHE_CONFIG names, if any.

    Raises:
        InvalidInput: a value, a key or the file cannot be read; one line names it and its source.
    """
    given = {key: value for key, value in (flags or {}).items() if value not in (None, [], ())}
    variables = _from_environment(environ)
    if file is None and environ.get(f"{ENV_PREFIX}CONFIG"):
        file = Path(environ[f"{ENV_PREFIX}CONFIG"])
    settings = _from_file(file) if file else {}

    def source(key: str) -> str:
        if key in given:
            return flag_of(key)
        return variable_of(key) if key in variables else f"{key_of(key)} in {file}"

    try:
        return AgentConfig(**(settings | variables | given))
    except ValidationError as error:
        raise InvalidInput(_one_line(error, source)) from error


def flag_of(field: str) -> str:
    """``cache_dir`` as ``--cache-dir``."""
    return "--" + field.replace("_", "-")


def variable_of(field: str) -> str:
    """``cache_dir`` as ``MESHCACHE_CACHE_DIR``."""
    return ENV_PREFIX + field.upper()


def key_of(field: str) -> str:
    """``cache_dir`` as ``cache-dir``, its key in the file."""
    return field.replace("_", "-")


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    source = EnvSettingsSource(AgentConfig)
    source.env_vars = {key.lower(): value for key, value in environ.items() if value}
    return source()


def _from_file(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"configuration {path} is not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise InvalidInput(f"configuration {path}{where}: {problem}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InvalidInput(f"configuration {path}: write keys and values, like `cache-size: 10GiB`")
    known = {key_of(field): field for field in AgentConfig.model_fields}
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = key_of(str(key))
        if name not in known:
            near = get_close_matches(name.lower(), known, 1, 0.5)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise InvalidInput(f"configuration {path}: there is no key {str(key)!r}{hint}")
        if value is not None:
            found[known[name]] = value
    return found


def _one_line(error: ValidationError, source: Callable[[str], str]) -> str:
    """The first thing that is wrong, with where it was said."""
    first = error.errors(include_url=False)[0]
    own = first.get("ctx", {}).get("error")  # a sentence of our own validators says all
    if not first["loc"]:
        return str(own or first["msg"])
    where = source(str(first["loc"][0]))
    if own:
        return f"{where}: {own}"
    return f"{where}: {first['input']!r} cannot be: {first['msg'][:1].lower()}{first['msg'][1:]}"
