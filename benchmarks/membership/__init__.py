"""Membership with real processes: our gossip beside serf and kinship, in one run on one machine.

``python -m benchmarks.membership run`` measures, ``... table`` and ``... plot`` show what was
measured; ``make bench-gossip`` does all three.
"""
