"""How much of each dataset the mesh holds.

`exact` asks: every member's bitmap over all blocks of a snapshot, and their union.
"""
