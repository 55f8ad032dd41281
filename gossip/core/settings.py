"""What can be tuned: times and limits, each with its reason.

`LAN` is the default. The times do not depend on the number of members.
"""

from typing import Final

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds and limits in bytes or counts."""

    # --- detection
    observers: int = 5
    """K: hash rings, hence observers of each member. Each costs two links and one beat a period;
    with 5, two may be wrong and the verdict still stands (Rapid has 10, H=9, L=3)."""
    period: float = 1.0
    """T: a beat to each observer in every period."""
    grace: float = 0.25
    """A beat may be late by this before the subject is probed (one TCP retransmission)."""
    probe_timeout: float = 0.5
    """A probe's answer may take this long; then the subject is reported silent."""
    vote: float = 3.0
    """An observer of an accused member that has said nothing for so long has no vote on it."""
    vouch: float = 0.5
    """An observer that hears its subject says so when others have accused it for so long."""
    say_again: float = 10.0
    """An observer's word about a member that somebody accuses is said again after so long, as long
    as it is so."""
    hearing: float = 1.0
    """A death of which no sign was seen here is believed after this, if it is not denied; or after
    the hold, if it is said to have been silence, which one that is slow itself sees everywhere."""
    hold: float = 6.0
    """From suspect to failed: long enough for garbage collection, a paused VM, a 5 s stall."""
    alone: float = 40.0
    """A member that hears from nobody at all fails nobody for so long: rather it is cut off, or
    its network stands still, than that all others are dead."""
    dial_timeout: float = 1.5
    """A link that has not said hello after this is given up."""
    confer: float = 2.5
    """The observers of a member that is missing have so long to answer each other before one that
    not all have answered tells the mesh: two dials and a probe."""
    stall: float = 0.5
    """Woken later than this, the member takes itself for the one that stood still."""
    quiet_after_stall: float = 1.0
    """No alert for this long after an own stall."""
    reentry: float = 330.0
    """A member that was failed through its own trouble comes back at once, but no oftener than
    this from denial to denial (in five minutes once: a denial may be under way for half a minute):
    what it owns must not move to and fro."""
    refutations: int = 1
    """Refutations in `refutation_window` that lift a suspicion though its observers stay deaf:
    a member that speaks but is not reachable must not stay for ever."""
    refutation_window: float = 60.0
    newcomer_grace: float = 2.0
    """A subject that has just come into view, and is not linked yet, has this long until it is
    missed."""

    # --- links
    links: int = 2048
    """Open at once; who says hello beyond that is not listened to."""
    spare_links: int = 4
    """Links beside those to observers and subjects: to join, to repair, to heal."""
    spare_idle: float = 30.0
    link_linger: float = 10.0
    """A neighbour's link that is no longer needed is kept this long: views differ for a while."""
    redial: float = 1.0
    """From a failed dial to the next one of the same member, doubling up to `redial_max`."""
    redial_max: float = 8.0
    wait_for_dial: float = 0.7
    """The lower uid dials; the higher one dials as well if nothing came after this."""

    # --- joining and healing
    join_retry: float = 1.0
    """Alone: from one round of seeds to the next, growing to `join_retry_max`."""
    join_retry_max: float = 15.0
    rejoin: float = 60.0
    """Not alone: seeds are looked up again this often, for ever."""
    join_asks: int = 3
    """Seeds asked at the same time."""
    joins_per_second: int = 50
    """A seed that welcomes more sends the rest on to others."""
    heal: float = 1.0
    """How often the members of one side, together, try a lost member: about one dial a period."""

    # --- spreading
    lazy_delay: float = 0.01
    """Names of rumours for lazy links are collected this long."""
    lazy_links: int = 8
    """Lazy links that get a rumour's name, drawn anew for each: about all of them. Where a fifth of
    the segments is lost, four cost a hundred members twice the time of eight."""
    graft_after: float = 0.03
    """A rumour that was named is asked for after this if it has not come by itself: several hops
    on a busy host, and a sixth of TCP's first timeout."""
    remember: float = 30.0
    """How long a rumour is kept for those who ask for it, and known again."""
    remember_bytes: int = 8 * 1024 * 1024
    queue_bytes: int = 256 * 1024
    """What may wait for one link; beyond it the oldest of the least urgent is dropped, and
    anti-entropy repairs it."""
    sync: float = 10.0
    """Anti-entropy with one neighbour in turn."""
    sync_far: float = 60.0
    """... and with a random member, so that a torn overlay is mended too."""
    view_quiet: float = 0.1
    view_wait: float = 0.5
    """Changes of the view are applied together: after this quiet, or after this wait (Rapid's
    cut), so that rings are rebuilt and links moved once."""

    # --- memory
    forget_members: float = 24 * 3600.0
    """Failed and left members are remembered this long: longer than any partition we heal."""
    forget_entries: float = 7 * 24 * 3600.0
    """Tombstones of the map likewise."""
    tags_bytes: int = 512
    map_entries: int = 10_000
    map_bytes: int = 16 * 1024 * 1024
    space_entries: int = 8_000
    space_bytes: int = 12 * 1024 * 1024
    """What one namespace of the map may take, so that it cannot lock the others out."""
    clock_ahead: float = 24 * 3600.0
    """A write whose clock is further ahead than this is refused: a broken clock must not make
    its entries eternal."""
    members: int = 20_000
    """Rows of the table; beyond it newcomers are not taken in."""

    @property
    def reaffirm(self) -> float:
        """From a denial until its observers, if they still miss the member, have said so again: a
        beat, two probes, and each other's answers."""
        return self.period + self.grace + 2 * self.probe_timeout + self.confer


LAN: Final = Settings()
WAN: Final = Settings(
    period=2.0,
    grace=1.0,
    probe_timeout=2.0,
    dial_timeout=5.0,
    confer=6.0,
    hold=12.0,
    wait_for_dial=2.0,
    graft_after=0.3,
)
LOCAL: Final = Settings(
    period=0.5, grace=0.2, probe_timeout=0.3, hold=3.0, join_retry=0.3, wait_for_dial=0.3
)
PROFILES: Final = {"lan": LAN, "wan": WAN, "local": LOCAL}
