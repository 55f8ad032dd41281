"""The datasets of the mesh: their records, their versions, and how a head comes to be."""

from meshcache.agent.catalog.catalog import Catalog
from meshcache.agent.catalog.entries import DATASETS, HEADS, Entries
from meshcache.agent.catalog.freshness import Freshness
from meshcache.agent.catalog.listing import Listing
from meshcache.agent.catalog.refreshes import Refreshes, turn_key
from meshcache.agent.catalog.schedule import Schedule

__all__ = [
    "DATASETS",
    "HEADS",
    "Catalog",
    "Entries",
    "Freshness",
    "Listing",
    "Refreshes",
    "Schedule",
    "turn_key",
]
