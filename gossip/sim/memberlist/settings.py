"""memberlist's constants, and what its messages weigh."""

from dataclasses import dataclass
from typing import Any

Message = tuple[Any, ...]
"""Kind, then its fields."""

SIZES = {
    "ping": 90,
    "ack": 45,
    "indirect": 120,
    "nack": 30,
    "suspect": 62,
    "dead": 62,
    "alive": 130,
    "event": 90,
}
DATAGRAM = 30
"""IP, UDP and the compound header."""
PER_MESSAGE = 2
PUSH_PULL_ENTRY = 110
INBOX = 4096


@dataclass(frozen=True, kw_only=True)
class MemberlistSettings:
    """memberlist's DefaultLANConfig, and which parts of Lifeguard are on."""

    probe_interval: float = 1.0
    probe_timeout: float = 0.5
    indirect_checks: int = 3
    retransmit_mult: int = 4
    suspicion_mult: int = 4
    suspicion_max_mult: int = 6
    gossip_interval: float = 0.2
    gossip_nodes: int = 3
    gossip_to_the_dead: float = 30.0
    push_pull_interval: float = 30.0
    datagram: int = 1400
    awareness_max: int = 8
    lha_probe: bool = True
    lha_suspicion: bool = True
    buddy: bool = True
    latency: tuple[float, float] = (0.0002, 0.001)
    loss: float = 0.0
    timers_run: bool = False
    """Whether a blocked member goes on probing, with all it sends queued (worse than the paper)."""


SWIM = MemberlistSettings(suspicion_mult=5, lha_probe=False, lha_suspicion=False, buddy=False)
"""Without Lifeguard, as in its paper's grid (alpha 5, beta 6)."""
LIFEGUARD = MemberlistSettings(suspicion_mult=5)
"""With all of it, as in its paper's grid."""
