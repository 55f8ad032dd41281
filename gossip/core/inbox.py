"""What comes in: each frame is counted, read and checked before anybody acts on it."""

from collections.abc import Callable
from dataclasses import dataclass

from meshcache.gossip import wire
from meshcache.gossip.core.context import Context
from meshcache.gossip.core.greeting import Greeting
from meshcache.gossip.core.guests import admissible
from meshcache.gossip.core.joining import Joining
from meshcache.gossip.core.links import Link, Links
from meshcache.gossip.core.spread import Spread
from meshcache.gossip.errors import FrameInvalid, OtherVersion

PIECE = 16 * 1024
"""A frame longer than this counts for several where frames are limited."""


@dataclass
class Inbox:
    """The way into one node."""

    context: Context
    links: Links
    greeting: Greeting
    joining: Joining
    spread: Spread
    deliver: Callable[[Link, wire.Message], None]
    """Takes a message of somebody who has said hello."""

    def receive(self, number: int, frame: bytes) -> None:
        """A frame came over the link of this number; nothing in it can raise."""
        counts = self.context.counts
        counts["frames_received"] += 1
        counts["bytes_received"] += len(frame)
        link = self.links.by_number.get(number)
        if link is not None and not link.frames.take(self.context.now, 1 + len(frame) / PIECE):
            counts["flooded"] += 1
            return
        try:
            message = wire.decode(frame, mesh=self.context.mesh, me=self.context.uid)
        except OtherVersion:
            self.greeting.other_version(link)
            return
        except FrameInvalid:
            counts["malformed"] += 1
            return
        if message is None:
            counts["unknown_kind"] += 1
        elif number in self.links.guests and (message := admissible(message)) is None:
            counts["guest_refused"] += 1
        elif isinstance(message, wire.Hello | wire.Goaway | wire.Redirect):
            self._introduce(number, link, message)
        elif link is None or link.peer is None:
            counts["not_introduced"] += 1
        else:
            self.deliver(link, message)

    def _introduce(
        self, number: int, link: Link | None, message: wire.Hello | wire.Goaway | wire.Redirect
    ) -> None:
        """The beginning and the end of a link."""
        if isinstance(message, wire.Hello):
            if link is None and len(self.links.by_number) >= self.context.settings.links:
                self.context.counts["links_refused"] += 1
            else:
                self.greeting.on_hello(link or self.links.accepted(number), message)
        elif link is None:
            self.context.counts["not_introduced"] += 1
        elif isinstance(message, wire.Goaway):
            self.greeting.on_goaway(link, message)
            self.spread.link_lost(number)
        elif link.dialled and link.peer is None:
            self.links.give_up(link)
            self.joining.redirected(message.addresses)
