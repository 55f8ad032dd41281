"""The gossip protocol as a machine without sockets, clocks or randomness of its own.

Frames, link events and the time go in (`Node.receive`, `Node.link_closed`, `Node.tick`); sends,
link wishes and events come out (`Node.take`), and one deadline (`Node.deadline`). The asyncio
driver and the simulator run this same class.
"""
