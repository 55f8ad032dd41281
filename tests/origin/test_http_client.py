"""What a web server may do between a request and its answer: lead elsewhere, encode, lie."""

import pytest
from yarl import URL

from meshcache.errors import OriginFailed, OriginUnreachable
from meshcache.http import Body, Head, Whole
from meshcache.origin.attempts import Transient
from meshcache.origin.http_client import HttpClient
from tests.support.scripted import Asked, Server, server_saying


async def ask(server: Server, target: str) -> tuple[Head, URL, bytes]:
    """The last answer's head, where it came from, its body."""
    client = HttpClient("http://there")
    body, places = Whole(1000), list[URL]()

    def take(head: Head, url: URL) -> Body:
        places.append(url)
        return body

    try:
        url = URL(f"http://127.0.0.1:{server.port}{target}", encoded=True)
        head = await client.ask("GET", url, {"If-Match": '"x"', "Range": "bytes=0-1"}, take)
        return head, places[-1], bytes(body.data)
    finally:
        await client.close()


async def test_redirects_are_followed_with_the_same_conditions() -> None:
    async def say(asked: Asked) -> None:
        path = asked.line.split(" ")[1]
        if path == "/a/start":
            asked.answer(b"moved", "Location: ../b?q=%20#part", status="302 Found")
        elif path == "/b?q=%20":
            there = f"http://127.0.0.1:{other.port}/c"
            asked.answer(b"x" * 100_000, f"Location: {there}", status="307 Temporary Redirect")
        else:
            asked.answer(b"here")

    async with server_saying(say) as server, server_saying(say) as other:
        head, url, body = await ask(server, "/a/start")
        assert (head.status, str(url), body) == (200, f"http://127.0.0.1:{other.port}/c", b"here")
        for asked in (*server.asked, *other.asked):
            assert b'\r\nIf-Match: "x"\r\nRange: bytes=0-1\r\n' in asked.head
            assert b"\r\nAccept-Encoding: identity\r\n" in asked.head


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("/again", "without end"),
        ("file:///etc/passwd", "only http"),
        ("http://[", "no URL"),
        ("http://h:99999999/", "no URL"),
    ],
)
async def test_a_redirect_to_nowhere_is_the_origins_fault(location: str, says: str) -> None:
    async def say(asked: Asked) -> None:
        asked.answer(b"", f"Location: {location}", status="301 Moved Permanently")

    async with server_saying(say) as server:
        with pytest.raises(OriginFailed, match=says):
            await ask(server, "/")


async def test_a_redirect_that_leads_nowhere_is_an_answer() -> None:
    async def say(asked: Asked) -> None:
        asked.answer(b"", status="304 Not Modified")

    async with server_saying(say) as server:
        assert (await ask(server, "/"))[0].status == 304


async def test_an_answer_that_was_encoded_unasked_is_refused() -> None:
    async def say(asked: Asked) -> None:
        asked.answer(b"\x1f\x8b", "Content-Encoding: gzip")

    async with server_saying(say) as server:
        with pytest.raises(OriginFailed, match="encoded"):
            await ask(server, "/")


async def test_what_is_no_http_and_what_breaks_off_may_pass() -> None:
    async def say(asked: Asked) -> None:
        if asked.line.startswith("GET /odd"):
            asked.send(b"220 mail.example ESMTP\r\n\r\n")
        asked.hang_up()

    async with server_saying(say) as server:
        for target, error in (("/odd", OriginFailed), ("/", OriginUnreachable)):
            with pytest.raises(Transient) as caught:
                await ask(server, target)
            assert type(caught.value.error) is error
            assert "mail" not in str(caught.value)


async def test_a_page_that_is_too_long_is_not_tried_again() -> None:
    async def say(asked: Asked) -> None:
        asked.answer(b"x" * 2000)

    async with server_saying(say) as server:
        with pytest.raises(OriginFailed, match="longer than 1000 bytes"):
            await ask(server, "/")
