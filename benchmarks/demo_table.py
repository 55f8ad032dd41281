"""The demo's last word: a table of its steps, beside the published experiment it repeats."""

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from meshcache.units import GIB, MIB, format_size

PUBLISHED_SIZE = 1.16 * GIB
PUBLISHED = (("published: uncached", 64.0, 1.0), ("published: cached", 6.26, 10.4))
"""Name, seconds and speed-up, as that experiment's report has them."""


class Step(msgspec.Struct, frozen=True):
    """One step of the demo, measured."""

    name: str
    seconds: float
    """Until the last of its readers was done."""
    bytes: int
    """Read by all its readers together."""
    unique: int
    """Bytes of the model: what a reader reads."""
    asked: int
    """Body bytes asked from the origin meanwhile, as its proxy counted them."""
    wrong: list[str]
    """Files whose hash was not the right one."""

    @property
    def throughput(self) -> str:
        """Of all its readers together."""
        return f"{self.bytes / self.seconds / MIB:.1f} MiB/s"

    @property
    def right(self) -> bool:
        """Whether each reader has read all, and each hash was right."""
        return not self.wrong and self.bytes > 0 and self.bytes % self.unique == 0


def print_table(console: Console, steps: list[Step], *, size: int, rate: int) -> None:
    """Print the steps; the first is the origin without a cache, which the others are held to."""
    table = Table(
        title=f"A model of {format_size(size)} in remote storage of {format_size(rate)}/s",
        title_justify="left",
        box=box.SIMPLE,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("step", no_wrap=True)
    for column in ("time", "throughput", "speed-up", "origin/unique", "hashes"):
        table.add_column(column, justify="right", no_wrap=True)
    direct = steps[0] if steps else None
    for step in steps:
        assert direct is not None
        table.add_row(
            step.name,
            f"{step.seconds:.2f} s",
            step.throughput,
            f"{direct.seconds / step.seconds:.1f}x",
            f"{step.asked / step.unique:.2f}",
            "[green]right[/]" if step.right else f"[red]wrong: {len(step.wrong)}[/]",
        )
    table.add_section()
    for name, seconds, speed_up in PUBLISHED:
        throughput = f"{PUBLISHED_SIZE / seconds / MIB:.1f} MiB/s"
        table.add_row(name, f"{seconds:.2f} s", throughput, f"{speed_up:.1f}x", "", "")
    console.print()
    console.print(table)
    asked = sum(step.asked for step in steps[1:]) / (direct.unique if direct else 1)
    console.print(
        f"Bytes asked from the origin / unique bytes, by all nodes: {asked:.2f} (1.00 is ideal)",
        highlight=False,
        style="bold",
    )
    console.print(_NOTES, highlight=False, style="dim", soft_wrap=True)


_NOTES = """\
speed-up: of one node's whole read, over a plain download of the model through
  the same cap with 16 range GETs of 4 MiB at a time (the first row)
origin/unique: body bytes of object GETs, counted by the proxy that plays the
  remote storage, over the model's bytes
cold: sequential, one file after the other, each hashed on the way
at once: on two nodes that had read nothing yet; the time is the slower one's,
  the throughput that of both together
warm: of a new mount, so nothing of it is in the kernel's page cache, though
  the node's own block files may be; hashed in a second pass, untimed
published: 1.16GiB over about 18.5 MiB/s"""
