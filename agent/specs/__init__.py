"""Datasets and loads as YAML: Fluid's own objects, and our shorter form of them.

`files` reads, `documents` parses, `fluid` and `own` are the models, `options` is the table of
names, and `plan` makes of it all what an agent is asked for.
"""

from meshcache.agent.specs.files import read
from meshcache.agent.specs.own import dataset_document, load_document
from meshcache.agent.specs.plan import Plan, plan

__all__ = ["Plan", "dataset_document", "load_document", "plan", "read"]
