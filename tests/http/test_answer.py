"""Answers of all kinds, cut anywhere, hostile ones too: the parser's pure core."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshcache.errors import InvalidInput
from meshcache.http import BadAnswer, Body, BrokenOff, Buffers, First, Head, TooLong, Whole
from meshcache.http.answer import Answer
from meshcache.http.head import MAX_HEAD, encode_request, parse_head

OK = b"HTTP/1.1 200 OK\r\n"


def cuts(data: bytes, rng: random.Random) -> Iterator[bytes]:
    while data:
        size = rng.choice([1, 2, 3, 10, 100, 5000])
        yield data[:size]
        data = data[size:]


def receive(answer: Answer, parts: Iterator[bytes] | list[bytes]) -> bytes | None:
    """Play parts of a connection's bytes to an answer; what is left once it is whole, or None."""
    left = list(parts)
    while left:
        data = left.pop(0)
        while data:
            room = answer.buffer()
            assert len(room) > 0
            piece = data[: len(room)]
            room[: len(piece)] = piece
            data = data[len(piece) :]
            if answer.received(len(piece)):
                return data + b"".join(left)
    return None


def whole(data: bytes, *, method: str = "GET", limit: int = 1 << 20) -> tuple[Answer, bytes]:
    """The answer that the bytes of a connection are, closed at their end; and its body."""
    body = Whole(limit)
    answer = Answer(method, lambda head: body)
    if receive(answer, [data]) is None:
        answer.ended()
    return answer, bytes(body.data)


def chunked(body: bytes, rng: random.Random, trailer: bytes = b"") -> bytes:
    coded = bytearray()
    for part in cuts(body, rng):
        extension = rng.choice([b"", b";a=b", b' ; x="y"'])
        coded += b"%x%s\r\n%s\r\n" % (len(part), extension, part)
    return bytes(coded) + b"0\r\n" + trailer + b"\r\n"


# --- whole answers --------------------------------------------------------------------------------


@given(
    body=st.binary(max_size=20_000),
    framing=st.sampled_from(["length", "chunked", "close"]),
    interim=st.integers(0, 3),
    padding=st.integers(0, 9000),
    seed=st.integers(0, 1 << 32),
)
def test_a_body_arrives_whole_however_it_is_framed_and_cut(
    body: bytes, framing: str, interim: int, padding: int, seed: int
) -> None:
    rng = random.Random(seed)
    head = b"HTTP/1.1 100 Continue\r\n\r\n" * interim + b"HTTP/1.1 206 Partial Content\r\n"
    head += b"X-Padding: " + b"p" * padding + b"\r\n"
    if framing == "length":
        head += b"Content-Length: %d\r\n" % len(body)
    if framing == "chunked":
        head += b"Transfer-Encoding: chunked\r\n"
    sent = chunked(body, rng, b"A: b\r\n") if framing == "chunked" else body
    into = bytearray(len(body))
    middle = rng.randint(0, len(body))
    buffers = Buffers([memoryview(into)[:middle], memoryview(into)[middle:]])
    answer = Answer("GET", lambda head: buffers)
    rest = receive(answer, cuts(head + b"\r\n" + sent, rng))
    if framing == "close":
        assert rest is None
        answer.ended()
    else:
        assert rest == b""
    assert answer.keep == (framing != "close")
    assert buffers.full
    assert bytes(into) == body
    assert answer.head is not None
    assert (answer.head.status, len(answer.head.get("x-padding"))) == (206, padding)


@given(
    data=st.binary(max_size=3000)
    | st.lists(
        st.sampled_from(
            [
                *(OK, b"HTTP/1.1 100 Continue\r\n", b"\r\n", b"\n", b"0\r\n", b"5\r\nhello\r\n"),
                *(
                    b"Content-Length: 5\r\n",
                    b"Transfer-Encoding: chunked\r\n",
                    b"x" * 5,
                    b": ",
                    b"\0",
                ),
            ]
        )
    ).map(b"".join),
    seed=st.integers(0, 1 << 32),
)
def test_whatever_comes_is_an_answer_or_an_error_and_cutting_changes_nothing(
    data: bytes, seed: int
) -> None:
    def outcome(parts: Iterator[bytes] | list[bytes]) -> object:
        body = Whole(1000)
        answer = Answer("GET", lambda head: body)
        try:
            rest = receive(answer, parts)
            if rest is None:
                answer.ended()
        except (BadAnswer, BrokenOff) as error:
            return type(error)
        return answer.head, bytes(body.data)

    assert outcome([data]) == outcome(cuts(data, random.Random(seed)))


def test_names_are_read_in_any_case_and_values_bare() -> None:
    head = parse_head(b'HTTP/1.1 200\r\nETag:\t "x" \r\nVARY: a\r\nVary: b\r\nEmpty:\r\n\r\n')
    assert head.headers == {"etag": '"x"', "vary": "a, b", "empty": ""}
    assert parse_head(b'HTTP/1.1 200 OK\r\nETag: "\xff"\r\n\r\n').get("etag") == '"\udcff"'


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
    ],
)
def test_a_connection_is_kept_if_the_server_means_to(head: bytes, keeps: bool) -> None:
    answer, body = whole(head + b"x")
    assert (answer.keep, body) == (keeps, b"x")


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("POST", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_some_answers_have_no_body(method: str, head: bytes) -> None:
    answer, body = whole(head, method=method)
    assert (answer.keep, body) == (True, b"")


def test_a_connection_with_more_than_its_answer_is_not_kept() -> None:
    for surplus in (
        b"Content-Length: 1\r\n\r\nxHTTP",
        b"Content-Length: 0\r\n\r\nx",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
    ):
        answer, _ = whole(OK + surplus)
        assert not answer.keep


def test_the_first_bytes_of_a_long_body_are_enough() -> None:
    first = First(10)
    answer = Answer("GET", lambda head: first)
    assert receive(answer, [OK + b"Content-Length: 1000\r\n\r\n" + b"x" * 500]) is not None
    assert (bytes(first.data), answer.keep) == (b"x" * 10, False)
    for coding in (
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ):
        first = First(10)
        answer = Answer("GET", lambda head, first=first: first)  # type: ignore[misc]
        assert receive(answer, [OK + coding]) == b""
        assert (bytes(first.data), answer.keep) == (b"hello", True)


# --- hostile ones ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 2000 High\r\n\r\n",
        b"HTTP/1.1 20x Odd\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        OK + b"Name : value\r\n\r\n",
        OK + b"Name\r\n\r\n",
        OK + b": value\r\n\r\n",
        OK + b"A: b\r\n folded\r\n\r\n",
        OK + b"A: b\nB: c\r\n\r\n",
        OK + b"A: b\0\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        OK + b"Content-Length: -5\r\n\r\nhello",
        OK + b"Content-Length: +5\r\n\r\nhello",
        OK + "Content-Length: ٥\r\n\r\nhello".encode(),  # noqa: RUF001
        OK + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\nx",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD // 20),
        OK + b"A: " + b"x" * MAX_HEAD,
        OK + b"A: b\r\n" * (MAX_HEAD // 6),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        whole(data)


@pytest.mark.parametrize(
    "coded",
    [
        b"hello",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n",
        b"5;" + b"x" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"0\r\n" + b"A: b\r\n" * 2000,
    ],
)
def test_what_is_not_chunked_as_it_says_is_refused(coded: bytes) -> None:
    with pytest.raises((BadAnswer, BrokenOff)):
        whole(OK + b"Transfer-Encoding: chunked\r\n\r\n" + coded + b"\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        OK + b"Content-Length: 5\r\n\r\nhell",
        OK + b"Content-Length: 5\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ],
)
def test_an_answer_that_ends_too_soon_is_broken_off(data: bytes) -> None:
    with pytest.raises(BrokenOff):
        whole(data)


def test_more_than_there_is_room_for_is_too_long() -> None:
    for framing in (b"Content-Length: 9\r\n\r\n", b"\r\n"):
        with pytest.raises(TooLong):
            whole(OK + framing + b"123456789", limit=8)
        buffers = Buffers([memoryview(bytearray(8))])
        answer = Answer("GET", lambda head, buffers=buffers: buffers)  # type: ignore[misc]
        with pytest.raises(TooLong):
            receive(answer, [OK + framing + b"123456789"])


def test_what_looks_at_the_head_may_refuse_it() -> None:
    def refuse(head: Head) -> Body:
        raise ValueError(head.status)

    with pytest.raises(ValueError, match="404"):
        receive(
            Answer("GET", refuse), [b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello"]
        )


# --- requests -------------------------------------------------------------------------------------


def test_a_request_is_a_line_and_headers() -> None:
    sent = encode_request("GET", "/a%20b?c", "h:1", {"If-Match": '"\udcff"', "Range": "bytes=0-1"})
    assert (
        sent
        == b'GET /a%20b?c HTTP/1.1\r\nHost: h:1\r\nIf-Match: "\xff"\r\nRange: bytes=0-1\r\n\r\n'
    )


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/a b", {}),
        ("/a\r\nX: y", {}),
        ("/ä", {}),
        ("/\x7f", {}),
        ("/", {"If-Match": '"x"\r\nX: y'}),
        ("/", {"If-Match": "x\ny"}),
        ("/", {"If-Match": "x\ry"}),
        ("/", {"If-Match": "x\0y"}),
    ],
)
def test_nothing_can_be_slipped_into_a_request(target: str, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        encode_request("GET", target, "h", headers)
