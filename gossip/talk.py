"""Events and queries, as users of a `Gossip` have them.

Names that begin with `RESERVED` are gossip's own: users can neither send nor receive them.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from meshcache.gossip.core.events import QueryAsked, QueryReply
from meshcache.gossip.driver import Driver
from meshcache.gossip.errors import EntryTooLarge, InvalidSettings

RESERVED = "_gossip_"
LONGEST = 1024
"""Bytes of a payload, or of an answer."""


@dataclass
class Answers:
    """What a query brought."""

    acknowledged: set[str] = field(default_factory=set)
    """Uids of the members whom the question reached."""
    replies: dict[str, bytes] = field(default_factory=dict)
    """Uid -> what it answered."""


class Talk:
    """What one member says to the others, and what they answer."""

    def __init__(self, driver: Callable[[], Driver]) -> None:
        """The talk of the member that `driver` gives."""
        self._driver = driver
        self._open: dict[int, Callable[[QueryReply], None]] = {}

    def event(self, name: str, payload: bytes) -> None:
        """As `Gossip.event`."""
        check_name(name)
        self._say(name, payload)

    async def query(
        self,
        name: str,
        payload: bytes,
        *,
        enough: Callable[[Answers], bool],
        to: Sequence[str] = (),
        timeout: float,
    ) -> Answers:
        """As `Gossip.query`; it ends when the answers are `enough`."""
        answers = Answers()
        done = asyncio.Event()

        def hear(reply: QueryReply) -> None:
            answers.acknowledged.add(reply.member)
            if reply.payload is not None:
                answers.replies[reply.member] = reply.payload
                if enough(answers):
                    done.set()

        number = self._say(name, payload, query=True, to=[bytes.fromhex(uid) for uid in to])
        self._open[number] = hear
        try:
            if not enough(answers):
                async with asyncio.timeout(timeout):
                    await done.wait()
        except TimeoutError:
            pass
        finally:
            del self._open[number]
        return answers

    def heard(self, reply: QueryReply) -> None:
        """An answer came."""
        hear = self._open.get(reply.number)
        if hear is not None:
            hear(reply)

    def answer(self, query: QueryAsked, payload: bytes) -> bool:
        """As `Gossip.answer`."""
        if len(payload) > LONGEST:
            raise EntryTooLarge(f"an answer of {len(payload)} B is over {LONGEST}")
        driver = self._driver()
        asker = bytes.fromhex(query.origin)
        sent = driver.node.answer(asker, query.number, payload, driver.now)
        driver.pump_soon()
        return sent

    def _say(
        self, name: str, payload: bytes, *, query: bool = False, to: Sequence[bytes] = ()
    ) -> int:
        if not 0 < len(name) <= 128 or len(payload) > LONGEST or len(to) > 64:
            raise EntryTooLarge(
                f"a name has 1 to 128 characters, a payload at most {LONGEST} bytes"
            )
        driver = self._driver()
        number = driver.node.say(name, payload, driver.now, query=query, to=to, acks=query)
        driver.pump()
        return number


def check_name(name: str) -> None:
    """Refuse gossip's own names to users.

    Raises:
        InvalidSettings: the name begins with `RESERVED`.
    """
    if name.startswith(RESERVED):
        raise InvalidSettings(f"names that begin with {RESERVED} are gossip's own: {name!r}")
