"""What must hold at every step of a run, whatever happens. After al8n/memberlist's VOPR.

Each checker is called after every input of every node and raises `Unsafe` when its rule is broken.
The tests break each rule on purpose (a mutant) and see that it is noticed.
"""

from collections.abc import Callable

from meshcache.gossip.core.events import Event, UserEvent
from meshcache.gossip.core.membership import Membership
from meshcache.gossip.core.table import ALIVE, FAILED, LEFT
from meshcache.gossip.errors import GossipError
from meshcache.gossip.sim.network import Network
from meshcache.gossip.sim.process import Process


class Unsafe(GossipError):
    """Raised by a checker: which rule is broken, where and when. The run is over."""


class Checkers:
    """All rules, on one network."""

    def __init__(self, network: Network, *, links: int = 200) -> None:
        """Watch every process of this network; none may have more than `links` links."""
        self._network = network
        self._links = links
        self._rows: dict[bytes, dict[bytes, tuple[int, int]]] = {}
        self._incarnations: dict[bytes, int] = {}
        self._tags: dict[tuple[bytes, int], dict[str, str]] = {}
        self._clocks: dict[bytes, dict[tuple[str, str], tuple[int, bytes]]] = {}
        self._seen_digest: dict[bytes, tuple[bytes, bytes]] = {}
        self.steps = 0
        self.rules: list[Callable[[Process], None]] = [
            self.i_am_alive_to_myself,
            self.my_incarnation_only_grows_and_only_i_raise_it,
            self.everything_is_bounded,
        ]
        self.rules_of_changes: list[Callable[[Process], None]] = [
            self.no_row_goes_back,
            self.a_record_does_not_change_within_an_incarnation,
            self.no_entry_goes_back,
        ]
        self._events: set[tuple[bytes, str, str, bytes]] = set()
        network.on_step.append(self)
        network.on_event.append(self.an_event_comes_once)

    def __call__(self, process: Process) -> None:
        """Check one process after an input."""
        self.steps += 1
        for rule in self.rules:
            rule(process)
        node = process.node
        digest = node.members.table.digest.total, node.map.digest.total
        if self._seen_digest.get(process.uid) != digest:
            # The tables are looked through only when they changed: once for each mutation.
            self._seen_digest[process.uid] = digest
            for rule in self.rules_of_changes:
                rule(process)

    def _fail(self, process: Process, what: str) -> None:
        raise Unsafe(f"at {self._network.now:.3f} s, {process.name}: {what}")

    def i_am_alive_to_myself(self, process: Process) -> None:
        """No member holds itself failed, nor left unless it leaves."""
        members: Membership = process.node.members
        row = members.table.rows.get(process.uid)
        if (
            row is not None
            and not members.roster.myself.leaving
            and (row.status != ALIVE or row.suspect)
        ):
            self._fail(process, "holds itself dead")

    def my_incarnation_only_grows_and_only_i_raise_it(self, process: Process) -> None:
        """No member knows a later incarnation of another living one than that has."""
        mine = process.node.members.me.incarnation
        if mine < self._incarnations.get(process.uid, 0):
            self._fail(process, "its incarnation went back")
        self._incarnations[process.uid] = mine

    def everything_is_bounded(self, process: Process) -> None:
        """Links, queues and what is remembered stay within their limits."""
        node = process.node
        settings = node.context.settings
        if len(node.links.by_number) > self._links:
            self._fail(process, f"has {len(node.links.by_number)} links")
        if any(queue.size > settings.queue_bytes for queue in node.spread.queues):
            self._fail(process, "a queue is over its limit")
        if node.map.count > 2 * settings.map_entries or node.map.size > 2 * settings.map_bytes:
            self._fail(process, "the map is over its limit")

    def no_row_goes_back(self, process: Process) -> None:
        """(incarnation, status) of a row only grows: nobody rises from the dead without a new
        incarnation of his own."""
        seen = self._rows.setdefault(process.uid, {})
        for uid, row in process.node.members.table.rows.items():
            now = (row.incarnation, row.status)
            if now < seen.get(uid, (0, 0)):
                self._fail(process, f"the row of {uid.hex()[:6]} went from {seen[uid]} to {now}")
            seen[uid] = now
            known = self._incarnations.get(uid, 0)
            if row.incarnation > known + (row.status == LEFT):
                self._fail(process, f"knows incarnation {row.incarnation} of {uid.hex()[:6]}")
            if row.suspect and row.status in (FAILED, LEFT):
                self._fail(process, f"{uid.hex()[:6]} is suspect and gone at once")

    def a_record_does_not_change_within_an_incarnation(self, process: Process) -> None:
        """All members know the same tags of one incarnation."""
        for uid, row in process.node.members.table.rows.items():
            key = (uid, row.record.incarnation)
            if self._tags.setdefault(key, row.record.tags) != row.record.tags:
                self._fail(process, f"other tags of {uid.hex()[:6]} in one incarnation")

    def no_entry_goes_back(self, process: Process) -> None:
        """The version of an entry only grows at each member."""
        seen = self._clocks.setdefault(process.uid, {})
        for entry in process.node.map.all():
            key, version = (entry.space, entry.key), (entry.clock, entry.writer)
            if version < seen.get(key, (0, b"")):
                self._fail(process, f"entry {key} went back")
            seen[key] = version

    def an_event_comes_once(self, process: Process, event: Event) -> None:
        """No user gets the same event twice (runs say each with a payload of its own)."""
        if isinstance(event, UserEvent):
            seen = (process.uid, event.origin, event.name, event.payload)
            if seen in self._events:
                self._fail(process, f"event {event.name} of {event.origin[:6]} came again")
            self._events.add(seen)

    def when_quiet(self, processes: list[Process]) -> None:
        """Once nothing changes any more, all hold the same."""
        uids = {process.uid for process in processes}
        for process in processes:
            if process.node.members.table.living != uids:
                missing = len(uids - process.node.members.table.living)
                extra = len(process.node.members.table.living - uids)
                self._fail(process, f"view differs: {missing} missing, {extra} too many")
        if len({process.node.map.digest.total for process in processes}) > 1:
            self._fail(processes[0], "the maps differ")
