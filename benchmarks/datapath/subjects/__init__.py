"""Who is measured. In a run they take turns in this order, each beginning once."""

from benchmarks.datapath.subjects.base import Subject
from benchmarks.datapath.subjects.limits import Null, Tmpfs
from benchmarks.datapath.subjects.meshcache import Meshcache
from benchmarks.datapath.subjects.rivals import JuiceFS, Rclone, S3fs, TunedJuiceFS, WeedMount

OURS = Meshcache.name
LIMITS = (Tmpfs.name, Null.name)
SUBJECTS: dict[str, type[Subject]] = {
    subject.name: subject
    for subject in (Meshcache, JuiceFS, TunedJuiceFS, Rclone, WeedMount, S3fs, Tmpfs, Null)
}
"""By name."""

__all__ = ["LIMITS", "OURS", "SUBJECTS", "Subject"]
