import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from meshcache.agent import logs


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.QUIET}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def test_without_a_terminal_each_line_is_a_json_object() -> None:
    out = io.StringIO()
    logs.configure("info", stream=out)
    structlog.get_logger("meshcache.agent").info("ready", address="a:1", members=3)
    logging.getLogger("aiohttp.server").error("broken %s", "pipe")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert (
        first.items()
        >= {
            "message": "ready",
            "level": "info",
            "logger": "meshcache.agent",
            "address": "a:1",
            "members": 3,
        }.items()
    )
    assert second["message"] == "broken pipe"
    assert "timestamp" in first and "timestamp" in second


def test_for_people_a_line_is_text() -> None:
    out = io.StringIO()
    logs.configure("info", stream=out, json=False)
    structlog.get_logger("meshcache.agent").warning("peer failed", peer="node-2")
    assert out.getvalue().count("\n") == 1
    assert "peer failed" in out.getvalue() and "peer=node-2" in out.getvalue()


def test_what_is_less_urgent_than_the_level_is_not_written() -> None:
    out = io.StringIO()
    logs.configure("warning", stream=out)
    structlog.get_logger().info("quiet")
    logging.getLogger("x").info("quiet")
    assert out.getvalue() == ""


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_line_for_each_request_is_never_written(level: str) -> None:
    out = io.StringIO()
    logs.configure(level, stream=out)
    logging.getLogger("aiohttp.access").info("GET /v1/blocks")
    assert out.getvalue() == ""


def test_an_exception_stays_within_its_json_line() -> None:
    out = io.StringIO()
    logs.configure("info", stream=out)
    try:
        raise ValueError("what was wrong")
    except ValueError:
        structlog.get_logger().exception("failed", data=b"\xff")
    line = json.loads(out.getvalue())
    assert "ValueError: what was wrong" in line["exception"]


def test_a_second_set_up_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure("info", stream=first)
    logs.configure("info", stream=second)
    structlog.get_logger().info("once")
    assert (first.getvalue(), second.getvalue().count("\n")) == ("", 1)
