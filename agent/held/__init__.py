"""How much of each dataset the mesh holds, and who holds it.

- `sample`: the blocks of a snapshot that stand for all; `samples` has them on every member.
- `coding`, `summary`: what a member says of them, and how it lies in the replicated map.
- `followed`, `publisher`: what this member holds, and when it tells.
- `census`: what all living members hold together. No question is asked over the network.
- `exact`: the same by asking every member for all of its blocks.
- `holdings` puts these together.
"""
