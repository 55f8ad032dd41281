"""The HTTP API: one set of routes, on TCP with proof, on the Unix socket without."""

from meshcache.agent.api.app import build_app

__all__ = ["build_app"]
