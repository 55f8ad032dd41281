import pytest

from meshcache.agent.address import HostPort, outgoing_host, parse_agent
from meshcache.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1:7440", HostPort("10.0.0.1", 7440)),
        ("[::1]:7440", HostPort("::1", 7440)),
        ("agent-0.mesh.svc:1", HostPort("agent-0.mesh.svc", 1)),
        (":7440", HostPort("0.0.0.0", 7440)),
        ("host:0", HostPort("host", 0)),
    ],
)
def test_an_address_is_read_as_it_is_written(text: str, address: HostPort) -> None:
    assert HostPort.parse(text) == address
    assert HostPort.parse(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", " ", "host", "host:", "host:65536", "a b:1", "::1:7440", "http://a:1", "a:1/x"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match="write HOST:PORT, like"):
        HostPort.parse(text)


def test_the_port_may_be_left_out_where_there_is_a_default_one() -> None:
    assert HostPort.parse("seed", 7441) == HostPort("seed", 7441)
    assert HostPort.parse("[fd00::1]", 7441) == HostPort("fd00::1", 7441)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_only_this_machine(host: str) -> None:
    assert HostPort(host, 1).loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "node-1", "127.0.0.1.example.com"])
def test_anything_else_is_beyond_loopback(host: str) -> None:
    assert not HostPort(host, 1).loopback


def test_the_address_toward_loopback_is_loopback() -> None:
    assert outgoing_host(HostPort("127.0.0.1", 7441)) == "127.0.0.1"


@pytest.mark.parametrize("text", ["https://a:1", "http://a:1/x", "ftp://a", "a:b", "", "u@a:1"])
def test_what_is_no_address_of_an_agent_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_agent(text)


def test_an_address_needs_neither_scheme_nor_port() -> None:
    assert str(parse_agent("node-1")) == "node-1:7440"
    assert str(parse_agent("http://[::1]:5/")) == "[::1]:5"
