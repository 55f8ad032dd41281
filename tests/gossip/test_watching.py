"""Watching parts of the replicated map."""

from meshcache.gossip import ANY, Entry, Gossip, GossipConfig


async def test_a_watcher_is_told_of_its_namespace_and_prefix_until_it_ends() -> None:
    gossip = Gossip(GossipConfig(name="alone", key=b"the mesh key of these tests, long"))
    await gossip.start()
    told: list[tuple[str, bytes | None]] = []

    def tell(key: str, entry: Entry | None) -> None:
        told.append((key, entry.value if entry is not None else None))

    end = gossip.map.watch("loads", tell, prefix="job-")
    gossip.map.put("loads", "job-1", b"a", expect=None)
    gossip.map.put("loads", "other", b"b", expect=ANY)
    gossip.map.put("heads", "job-1", b"c")
    gossip.map.delete("loads", "job-1")
    end()
    gossip.map.put("loads", "job-2", b"d")
    await gossip.close()
    assert told == [("job-1", b"a"), ("job-1", None)]
