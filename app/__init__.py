"""Endcap's service: decisions, events, models and what keeps them running."""

__version__ = "0.1.0"
