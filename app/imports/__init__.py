"""Canonical tables on their way in: read, check row by row, list what is refused, keep the rest."""

from app.imports.campaigns import import_campaigns
from app.imports.catalogue import import_products, import_stores
from app.imports.events.event_file import import_events
from app.imports.places.prices import import_prices
from app.imports.places.stock import import_stock
from app.imports.promotions import import_promotions
from app.imports.report import ImportReport
from app.imports.sources.complete_journey import import_complete_journey
from app.imports.transactions import import_transactions

__all__ = [
    "ImportReport",
    "import_campaigns",
    "import_complete_journey",
    "import_events",
    "import_prices",
    "import_products",
    "import_promotions",
    "import_stock",
    "import_stores",
    "import_transactions",
]
