"""Every transaction and event, once: what imports and the worker write and training reads."""

from app.history.table import History

__all__ = ["History"]
