"""Coupons for receipts, which come in line by line, in any order and repeatedly; each line has its receipt checked."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, or_, select, text

from app.offers.rules.receipts import Receipt, ReceiptCheck, ReceiptLine, check_receipt, receipt_of
from app.offers.terms.conditions import attributes_named
from app.offers.terms.records import Campaign, Offer
from app.offers.terms.status import CampaignStatus
from app.offers.terms.terms import ByReceipt
from app.stores.sql.campaigns.campaigns import campaign_of, offer_of
from app.stores.sql.campaigns.memberships import tiers_of
from app.stores.sql.coupons.issuing import coupon_issued_for, issue, revoke_when_unused
from app.stores.sql.database.chunks import chunks
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.projection_queue import insert
from app.stores.sql.database.tables import campaigns, offers, receipt_lines

BY_RECEIPT = "receipt"
LOCK = 0x656E64636172
"""One transaction at a time checks receipts: two that each hold half of one would both find it too small."""

_COLUMNS = tuple(field.name for field in fields(ReceiptLine))


@dataclass(frozen=True, slots=True)
class RetailerData:
    """What checking a receipt needs: a store's time zone (None: of no store), and some attributes of products."""

    zone_of: Callable[[str | None], str]
    attributes_of: Callable[[Collection[str], Collection[str]], Mapping[str, Mapping[str, str]]]


@dataclass(frozen=True, slots=True)
class ReceiptOffer:
    """An offer that is issued by receipts, with its campaign."""

    offer: Offer
    campaign: Campaign
    terms: ByReceipt

    def issues(self, receipt: Receipt, *, now: datetime) -> bool:
        """True when a receipt that meets the condition gets a coupon: the campaign runs now, and ran at the till."""
        valid_until = self.offer.terms.valid_until
        runs = all(self.campaign.status_at(at) is CampaignStatus.RUNNING for at in (now, receipt.bought_at))
        return runs and self.offer.is_active and (valid_until is None or now < valid_until)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a batch of lines did: new lines, coupons issued and revoked, and whose wallets that changed."""

    line_count: int = 0
    issued_count: int = 0
    revoked_count: int = 0
    customer_ids: frozenset[str] = frozenset()


def issue_for_receipts(
    ledger: Ledger, lines: Sequence[ReceiptLine], retailer: RetailerData, *, now: datetime
) -> BatchResult:
    """Keeps the lines and checks their receipts for every offer, in one transaction; repeated lines change nothing.

    A receipt that meets an offer gives its customer one coupon, ever. A refund after which it no longer does revokes
    that coupon, if unused or as soon as it is; later purchases do not bring it back. Does nothing without an offer
    whose campaign runs, is paused or is to come. Raises StoreUnavailable.
    """
    # Without such an offer a purchase costs a read alone, and no turn at SQLite's one write lock.
    if not lines or not ledger.read(lambda connection: _receipt_offers(connection, now)):
        return BatchResult()
    return ledger.write(lambda connection: _issue_for_batch(connection, lines, retailer, now))


def delete_receipt_lines(ledger: Ledger, *, now: datetime, keep: timedelta) -> int:
    """Deletes lines that were accepted longer ago than `keep`; returns how many. Refunds after that change nothing."""
    outdated = receipt_lines.c.accepted_at < now - keep
    return ledger.write(lambda connection: connection.execute(delete(receipt_lines).where(outdated)).rowcount)


def _issue_for_batch(
    connection: Connection, lines: Sequence[ReceiptLine], retailer: RetailerData, now: datetime
) -> BatchResult:
    # SQLite lets one writer in at a time anyway.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    line_count = _insert(connection, lines)
    # Read again under the lock: an offer or campaign may have changed since the first look.
    receipt_offers = _receipt_offers(connection, now)
    receipts = _receipts(connection, sorted({line.receipt_id for line in lines}), receipt_offers, retailer)
    tiers = tiers_of(connection, [receipt.customer_id for receipt in receipts if receipt.customer_id is not None])
    issued_count = revoked_count = 0
    customer_ids: set[str | None] = set()
    for one in receipt_offers:
        currency = one.campaign.terms.currency
        due: list[Receipt] = []
        for receipt in (of for of in receipts if of.currency == currency):
            zone = retailer.zone_of(receipt.purchases[0].store_id)
            check = check_receipt(receipt, one.terms, tier=tiers.get(receipt.customer_id or ""), time_zone=zone)
            if check == ReceiptCheck(met_when_bought=True, met_now=False):
                if _revoke(connection, one, receipt, now):
                    revoked_count += 1
                    customer_ids.add(receipt.customer_id)
            elif check.met_now and one.issues(receipt, now=now):
                due.append(receipt)
        if issued := _issue(connection, one, due, now):
            issued_count += issued
            customer_ids.update(receipt.customer_id for receipt in due)
    known = frozenset(customer_id for customer_id in customer_ids if customer_id is not None)
    return BatchResult(line_count, issued_count, revoked_count, known)


def _receipt_offers(connection: Connection, now: datetime) -> list[ReceiptOffer]:
    """Offers for receipts whose coupons can be good now or later; withdrawn offers too, for their refunds."""
    may_run = campaigns.c.status.not_in((CampaignStatus.DRAFT, CampaignStatus.ENDED))
    not_over = or_(campaigns.c.ends_at.is_(None), campaigns.c.ends_at > now)
    ours = select(offers).join(campaigns).where(offers.c.issued_by == BY_RECEIPT, may_run, not_over)
    found = [offer_of(row) for row in connection.execute(ours.order_by(offers.c.offer_id)).mappings()]
    of_campaigns = select(campaigns).where(campaigns.c.campaign_id.in_({offer.campaign_id for offer in found}))
    by_id = {row["campaign_id"]: campaign_of(row) for row in connection.execute(of_campaigns).mappings()}
    return [
        ReceiptOffer(offer, by_id[offer.campaign_id], offer.terms.issue)
        for offer in found
        if isinstance(offer.terms.issue, ByReceipt)
    ]


def _insert(connection: Connection, lines: Sequence[ReceiptLine]) -> int:
    rows = [{name: getattr(line, name) for name in _COLUMNS} for line in lines]
    statement = insert(connection, receipt_lines).on_conflict_do_nothing().returning(receipt_lines.c.event_id)
    return len(connection.execute(statement, rows).scalars().all())


def _receipts(
    connection: Connection, receipt_ids: Sequence[str], receipt_offers: Sequence[ReceiptOffer], retailer: RetailerData
) -> list[Receipt]:
    """The receipts that hold a purchase, with every line that ever came."""
    by_id: dict[str, list[ReceiptLine]] = {}
    for line in _stored(connection, receipt_ids):
        by_id.setdefault(line.receipt_id, []).append(line)
    names = {name for one in receipt_offers for name in attributes_named(one.terms.condition)}
    attributes = retailer.attributes_of({line.product_id for lines in by_id.values() for line in lines}, names)
    receipts = (receipt_of(lines, attributes) for lines in by_id.values())
    return [receipt for receipt in receipts if receipt is not None]


def _stored(connection: Connection, receipt_ids: Sequence[str]) -> Iterator[ReceiptLine]:
    for chunk in chunks(receipt_ids):
        query = select(receipt_lines).where(receipt_lines.c.receipt_id.in_(chunk))
        for row in connection.execute(query).mappings():
            yield ReceiptLine(**row)


def _key(one: ReceiptOffer, receipt: Receipt) -> str:
    return f"{BY_RECEIPT}:{one.offer.offer_id}:{receipt.receipt_id}"


def _issue(connection: Connection, one: ReceiptOffer, due: Sequence[Receipt], now: datetime) -> int:
    customers = [receipt.customer_id for receipt in due]
    keys = [_key(one, receipt) for receipt in due]
    made = issue(connection, one.offer, one.campaign, customers, issued_by=BY_RECEIPT, issue_keys=keys, now=now)
    return len(made)


def _revoke(connection: Connection, one: ReceiptOffer, receipt: Receipt, now: datetime) -> bool:
    coupon = coupon_issued_for(connection, _key(one, receipt))
    return coupon is not None and revoke_when_unused(connection, coupon.coupon_id, now=now)
