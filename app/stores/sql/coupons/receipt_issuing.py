"""Issuing by event rules: receipts come in line by line, in any order and more than once; each is judged anew."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, or_, select, text

from app.offers.rules.receipts import Receipt, ReceiptLine, Verdict, judge, receipt_of
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
"""One transaction at a time judges receipts: two that each hold half of one would both find it too small."""

_COLUMNS = tuple(field.name for field in fields(ReceiptLine))


@dataclass(frozen=True, slots=True)
class Shop:
    """What rules need to know of the retailer: a store's time zone (None: of no store), and of products the attributes
    with some names."""

    zone_of: Callable[[str | None], str]
    attributes_of: Callable[[Collection[str], Collection[str]], Mapping[str, Mapping[str, str]]]


@dataclass(frozen=True, slots=True)
class Rule:
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
class Taken:
    """What a batch of lines did: how many lines are new, how many coupons were issued and revoked."""

    line_count: int = 0
    issued_count: int = 0
    revoked_count: int = 0


def take_receipts(ledger: Ledger, lines: Sequence[ReceiptLine], shop: Shop, *, now: datetime) -> Taken:
    """Keeps the lines and judges their receipts by every rule, in one transaction; the same lines again do nothing.

    A receipt that meets a rule gives its customer one coupon, ever. A refund after which it no longer does revokes that
    coupon, if unused or as soon as it is; later purchases do not bring it back. Does nothing without a rule whose
    campaign runs, is paused or is to come. Raises StoreUnavailable.
    """
    if not lines or not ledger.read(lambda connection: _rules(connection, now)):
        return Taken()
    return ledger.write(lambda connection: _take(connection, lines, shop, now))


def forget_receipts(ledger: Ledger, *, now: datetime, keep: timedelta) -> int:
    """Deletes lines that were accepted longer ago than `keep`; returns how many. Refunds after that change nothing."""
    outdated = receipt_lines.c.accepted_at < now - keep
    return ledger.write(lambda connection: connection.execute(delete(receipt_lines).where(outdated)).rowcount)


def _take(connection: Connection, lines: Sequence[ReceiptLine], shop: Shop, now: datetime) -> Taken:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    line_count = _insert(connection, lines)
    rules = _rules(connection, now)
    receipts = _receipts(connection, sorted({line.receipt_id for line in lines}), rules, shop)
    tiers = tiers_of(connection, [receipt.customer_id for receipt in receipts if receipt.customer_id is not None])
    issued_count = revoked_count = 0
    for rule in rules:
        currency = rule.campaign.terms.currency
        due: list[Receipt] = []
        for receipt in (one for one in receipts if one.currency == currency):
            zone = shop.zone_of(receipt.purchases[0].store_id)
            verdict = judge(receipt, rule.terms, tier=tiers.get(receipt.customer_id or ""), time_zone=zone)
            if verdict == Verdict(met_when_bought=True, met_now=False):
                revoked_count += _revoke(connection, rule, receipt, now)
            elif verdict.met_now and rule.issues(receipt, now=now):
                due.append(receipt)
        issued_count += _issue(connection, rule, due, now)
    return Taken(line_count, issued_count, revoked_count)


def _rules(connection: Connection, now: datetime) -> list[Rule]:
    """Rules whose coupons can be good now or later; withdrawn offers too, for their refunds."""
    may_run = campaigns.c.status.not_in((CampaignStatus.DRAFT, CampaignStatus.ENDED))
    not_over = or_(campaigns.c.ends_at.is_(None), campaigns.c.ends_at > now)
    ours = select(offers).join(campaigns).where(offers.c.issued_by == BY_RECEIPT, may_run, not_over)
    found = [offer_of(row) for row in connection.execute(ours.order_by(offers.c.offer_id)).mappings()]
    of_campaigns = select(campaigns).where(campaigns.c.campaign_id.in_({offer.campaign_id for offer in found}))
    by_id = {row["campaign_id"]: campaign_of(row) for row in connection.execute(of_campaigns).mappings()}
    return [
        Rule(offer, by_id[offer.campaign_id], offer.terms.issue)
        for offer in found
        if isinstance(offer.terms.issue, ByReceipt)
    ]


def _insert(connection: Connection, lines: Sequence[ReceiptLine]) -> int:
    rows = [{name: getattr(line, name) for name in _COLUMNS} for line in lines]
    statement = insert(connection, receipt_lines).on_conflict_do_nothing().returning(receipt_lines.c.event_id)
    return len(connection.execute(statement, rows).scalars().all())


def _receipts(connection: Connection, receipt_ids: Sequence[str], rules: Sequence[Rule], shop: Shop) -> list[Receipt]:
    """The receipts that hold a purchase, with every line that ever came."""
    by_id: dict[str, list[ReceiptLine]] = {}
    for line in _stored(connection, receipt_ids):
        by_id.setdefault(line.receipt_id, []).append(line)
    names = {name for rule in rules for name in attributes_named(rule.terms.condition)}
    attributes = shop.attributes_of({line.product_id for lines in by_id.values() for line in lines}, names)
    receipts = (receipt_of(lines, attributes) for lines in by_id.values())
    return [receipt for receipt in receipts if receipt is not None]


def _stored(connection: Connection, receipt_ids: Sequence[str]) -> Iterator[ReceiptLine]:
    for chunk in chunks(receipt_ids):
        query = select(receipt_lines).where(receipt_lines.c.receipt_id.in_(chunk))
        for row in connection.execute(query).mappings():
            yield ReceiptLine(**row)


def _key(rule: Rule, receipt: Receipt) -> str:
    return f"{BY_RECEIPT}:{rule.offer.offer_id}:{receipt.receipt_id}"


def _issue(connection: Connection, rule: Rule, due: Sequence[Receipt], now: datetime) -> int:
    customers = [receipt.customer_id for receipt in due]
    keys = [_key(rule, receipt) for receipt in due]
    made = issue(connection, rule.offer, rule.campaign, customers, issued_by=BY_RECEIPT, issue_keys=keys, now=now)
    return len(made)


def _revoke(connection: Connection, rule: Rule, receipt: Receipt, now: datetime) -> int:
    coupon = coupon_issued_for(connection, _key(rule, receipt))
    return 0 if coupon is None else int(revoke_when_unused(connection, coupon.coupon_id, now=now))
