"""The history as every process opens it; apart from the other stores, for an API needs none of what it loads."""

from app.history import History
from app.settings import Settings


def history_of(settings: Settings) -> History:
    """The history of purchases and events, a table on disk that stays closed between uses."""
    return History(settings.history_dir)
