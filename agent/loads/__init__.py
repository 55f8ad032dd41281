"""Loads: warm-up jobs that have blocks fetched before anybody reads them.

`meshcache.agent.loads.loads` runs them; it is not imported here, since a command that only writes a
load down should not load what an agent is made of.
"""

from meshcache.agent.loads.spec import NewLoad, Target

__all__ = ["NewLoad", "Target"]
