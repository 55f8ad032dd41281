"""Those that one member observes: when each was heard last, and what is said of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from meshcache.gossip.core.context import Context
from meshcache.gossip.core.verdicts import HEARD


@dataclass(slots=True)
class Subject:
    """One member that this one observes."""

    heard: float
    missing: bool = False
    """Did not answer a probe in time, or could not be reached."""
    refused: int = 0
    hung_up: int = 0
    alert: int = HEARD
    """What this member has told the mesh."""
    private: bool = False
    """This member alone holds it silent, and has told nobody: it hears nobody else either."""
    void: bool = False
    """The subject has refuted since: a further miss is told again, with its new incarnation."""


@dataclass
class Subjects:
    """All subjects of one node."""

    context: Context
    last: float = 0.0
    """When a frame of anybody came last."""
    _subjects: dict[bytes, Subject] = field(default_factory=dict)

    def get(self, uid: bytes) -> Subject | None:
        """A subject, None if this is none."""
        return self._subjects.get(uid)

    def __getitem__(self, uid: bytes) -> Subject:
        return self._subjects[uid]

    def __contains__(self, uid: object) -> bool:
        return uid in self._subjects

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._subjects)

    def items(self) -> Iterable[tuple[bytes, Subject]]:
        """All, with their uids."""
        return self._subjects.items()

    def add(self, uid: bytes, *, grace: float) -> None:
        """Observe one more, which has `grace` seconds until it is missed."""
        self._subjects[uid] = Subject(self.context.now + grace)

    def remove(self, uid: bytes) -> Subject:
        """Observe it no more."""
        return self._subjects.pop(uid)

    @property
    def late(self) -> float:
        """Seconds since a subject's last frame after which its beat is overdue."""
        return self.context.settings.period + self.context.settings.grace

    def fresh(self, subject: Subject) -> bool:
        """Whether its beat is not overdue."""
        return subject.heard + self.late > self.context.now

    def heard(self) -> list[bytes]:
        """Those whose beats come."""
        now = self.context.now
        return [
            uid
            for uid, subject in self._subjects.items()
            if self.fresh(subject) and not subject.missing and subject.heard <= now
        ]

    def doubted(self) -> set[bytes]:
        """Those that are missing or that the mesh was told of."""
        return {uid for uid, one in self._subjects.items() if one.missing or one.alert != HEARD}

    @property
    def cut_off(self) -> bool:
        """Whether nobody is heard, though all should have beaten by now."""
        return self.last + self.late <= self.context.now

    @property
    def alone_at(self) -> float:
        """Before this time this member fails nobody for being silent, since it hears nobody at all.
        (Of one or two others all may well be dead at once.)"""
        if not self.cut_off or len(self._subjects) < 3:
            return self.context.now
        return self.last + self.context.settings.alone
