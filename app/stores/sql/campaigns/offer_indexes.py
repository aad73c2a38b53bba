"""Which offers may be shown, kept up to date from the ledger: laid out again when campaigns or bundles change."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Lock
from weakref import ref

from sqlalchemy import Connection, Integer, Row, cast, func, select

from app.errors import StoreUnavailable
from app.model.bundle import Bundle
from app.model.memory import release_memory
from app.offers.display.offer_index import OfferIndex, build_offer_index
from app.offers.terms.records import Campaign, Offer
from app.offers.terms.status import CampaignStatus
from app.stores.sql.campaigns.campaigns import campaign_of, offer_of
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import campaigns, offers

OPEN = (CampaignStatus.SCHEDULED, CampaignStatus.RUNNING)

_State = tuple[object, ...]
_OnOffer = tuple[Sequence[Campaign], Sequence[Offer]]

_log = logging.getLogger(__name__)


class OfferIndexes:
    """One offer index per bundle in use.

    While the ledger cannot be read the last ones stand: they show, and approve nothing.

    Reading takes no lock; whatever makes offer indexes takes turns.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._turn = Lock()
        self._seen: _State | None = None
        # Replaced as a whole and never changed, so that requests read it without the lock. The references are weak: an
        # index must not keep a bundle in memory that nobody serves any more.
        self._indexes: tuple[tuple[ref[Bundle], OfferIndex | None], ...] = ()

    def offer_index_of(self, bundle: Bundle) -> OfferIndex | None:
        """The offer index of this bundle; None when nothing is on offer, or the bundle was never prepared."""
        return next((offer_index for known, offer_index in self._indexes if known() is bundle), None)

    def prepare(self, bundle: Bundle) -> None:
        """Lays the offers out for a bundle that is about to go live; never raises for the ledger's sake."""
        with self._turn:
            try:
                offer_index = _laid_out(bundle, self._ledger.read(_on_offer))
            except StoreUnavailable as error:
                _log.warning("offers not laid out", extra={"detail": error.message})
                # Without a state to compare with, the next refresh reads all of it.
                offer_index, self._seen = None, None
            self._indexes = ((ref(bundle), offer_index), *self._in_use(but=bundle))

    def refresh(self) -> bool:
        """Reads what changed in the ledger; True when it did. Never raises for the ledger's sake."""
        with self._turn:
            try:
                # The state first: a change between the two reads is found by the next refresh.
                seen = self._ledger.read(_state)
                if seen == self._seen:
                    return False
                found = self._ledger.read(_on_offer)
            except StoreUnavailable as error:
                _log.warning("offers not refreshed", extra={"detail": error.message})
                return False
            bundles = [bundle for known, _ in self._in_use() if (bundle := known()) is not None]
            self._indexes = tuple((ref(bundle), _laid_out(bundle, found)) for bundle in bundles)
            self._seen = seen
            return True

    def _in_use(self, *, but: Bundle | None = None) -> list[tuple[ref[Bundle], OfferIndex | None]]:
        """The offer indexes of bundles that somebody still holds."""
        return [
            (known, offer_index)
            for known, offer_index in self._indexes
            if (bundle := known()) is not None and bundle is not but
        ]


def _laid_out(bundle: Bundle, found: _OnOffer) -> OfferIndex | None:
    offer_index = build_offer_index(bundle, *found, now=datetime.now(UTC))
    release_memory()
    return offer_index


def _state(connection: Connection) -> _State:
    """What differs whenever a campaign or an offer was changed; money that moves does not count."""
    columns = campaigns.c
    of_campaigns = select(func.count(), func.sum(columns.revision), func.max(columns.updated_at))
    # Withdrawing an offer changes no revision, so the active ones are counted as well.
    active = func.sum(cast(offers.c.is_active, Integer))
    of_offers = select(func.count(), func.sum(offers.c.revision), active, func.max(offers.c.updated_at))
    first: Row[_State] = connection.execute(of_campaigns).one()
    second: Row[_State] = connection.execute(of_offers).one()
    return (*first, *second)


def _on_offer(connection: Connection) -> _OnOffer:
    """Campaigns that run or will, and their offers that were not withdrawn."""
    ends_at, is_open = campaigns.c.ends_at, campaigns.c.status.in_(OPEN)
    is_not_over = ends_at.is_(None) | (ends_at > datetime.now(UTC))
    found = [campaign_of(row) for row in connection.execute(select(campaigns).where(is_open, is_not_over)).mappings()]
    theirs = (
        select(offers)
        .join(campaigns, campaigns.c.campaign_id == offers.c.campaign_id)
        .where(is_open, is_not_over, offers.c.is_active)
        .order_by(offers.c.offer_id)
    )
    on_offer = [offer_of(row) for row in connection.execute(theirs).mappings()]
    for offer in on_offer:
        if offer.fault is not None:
            detail = f"offer {offer.offer_id!r}: {offer.fault}"
            _log.error("offer left out of decisions; change its terms", extra={"detail": detail})
    return found, on_offer
