"""Loads: warm-up jobs that have blocks fetched before anybody reads them."""

from meshcache.agent.loads.loads import Loads
from meshcache.agent.loads.spec import NewLoad, Target

__all__ = ["Loads", "NewLoad", "Target"]
