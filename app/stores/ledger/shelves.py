"""Which offers may be shown, kept up to date from the ledger: laid out again when campaigns or bundles change."""

import asyncio
import logging
from collections import OrderedDict
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, func, select

from app.errors import StoreUnavailable
from app.model.bundle import Bundle
from app.offers.records import Campaign, Offer
from app.offers.shelf import Shelf, make_shelf
from app.offers.status import CampaignStatus
from app.stores.ledger.campaigns import campaign_of, offer_of
from app.stores.ledger.engine import Ledger
from app.stores.ledger.tables import campaigns, offers

KEPT_BUNDLES = 4
"""A live bundle, a canary, a shadow, and one on its way."""
OPEN = (CampaignStatus.SCHEDULED, CampaignStatus.RUNNING)

_log = logging.getLogger(__name__)


class Shelves:
    """One shelf per bundle. While the ledger cannot be read the last one stands: it shows, it approves nothing."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen: Row[tuple[object, ...]] | None = None
        self._campaigns: list[Campaign] = []
        self._offers: list[Offer] = []
        self._shelves: OrderedDict[int, tuple[Bundle, Shelf | None]] = OrderedDict()

    def shelf_of(self, bundle: Bundle) -> Shelf | None:
        """The shelf of this bundle; None when nothing is on offer, or the bundle was never prepared."""
        found = self._shelves.get(id(bundle))
        return None if found is None or found[0] is not bundle else found[1]

    def prepare(self, bundle: Bundle) -> None:
        """Lays the offers out for a bundle that is about to go live."""
        self._shelves[id(bundle)] = bundle, self._made(bundle)
        while len(self._shelves) > KEPT_BUNDLES:
            self._shelves.popitem(last=False)

    def refresh(self) -> bool:
        """Reads what changed in the ledger; True when it did. Never raises."""
        try:
            seen = self._ledger.read(_state)
            if seen == self._seen:
                return False
            self._campaigns, self._offers = self._ledger.read(_on_offer)
        except StoreUnavailable as error:
            _log.warning("offers not refreshed", extra={"detail": error.message})
            return False
        for bundle, _ in list(self._shelves.values()):
            self.prepare(bundle)
        self._seen = seen
        return True

    async def watch(self, interval_s: float) -> None:
        """Refreshes for ever, in a thread, so that requests go on."""
        while True:
            await asyncio.sleep(interval_s)
            await asyncio.to_thread(self.refresh)

    def _made(self, bundle: Bundle) -> Shelf | None:
        return make_shelf(bundle, self._campaigns, self._offers, now=datetime.now(UTC))


def _state(connection: Connection) -> Row[tuple[object, ...]]:
    """What differs whenever a campaign or an offer was changed; money that moves does not count."""
    of_campaigns = select(func.count(), func.sum(campaigns.c.revision), func.max(campaigns.c.updated_at))
    of_offers = select(func.count(), func.sum(offers.c.revision), func.max(offers.c.updated_at))
    first, second = connection.execute(of_campaigns).one(), connection.execute(of_offers).one()
    return (*first, *second)  # type: ignore[return-value]


def _on_offer(connection: Connection) -> tuple[list[Campaign], list[Offer]]:
    rows = connection.execute(select(campaigns).where(campaigns.c.status.in_(OPEN))).mappings()
    found = [campaign_of(row) for row in rows]
    of_these = offers.c.campaign_id.in_([campaign.campaign_id for campaign in found])
    theirs = connection.execute(select(offers).where(of_these).order_by(offers.c.offer_id)).mappings()
    return found, [offer_of(row) for row in theirs]
