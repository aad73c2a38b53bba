"""Rollbacks: the exact inverse of a redemption, whole or by line, and only once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from app.domain import JsonObject
from app.errors import BadInput, Missing
from app.offers.rules.combination import UsableCoupon
from app.offers.rules.returns import Given, SoldLine, left_of, offered_on
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.codes import new_id
from app.offers.terms.money import exact
from app.offers.terms.stored import UnusableTerms
from app.stores.sql.campaigns.campaigns import terms_at
from app.stores.sql.customers.links import share_persons
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.projection_queue import enqueue
from app.stores.sql.database.tables import redemption_lines, redemptions, rollbacks, uses
from app.stores.sql.redemption.claims import release_claims
from app.stores.sql.redemption.entries import LedgerEntry, append_entries, stale_subjects_of
from app.stores.sql.redemption.idempotency import IdempotentRequest, StoredResponse, run_idempotent
from app.stores.sql.redemption.reservations import claimed_use_of
from app.stores.sql.redemption.results import RolledBack

Rows = Sequence[RowMapping]


class RedemptionNotFound(Missing):
    """No redemption has this id."""

    code = "redemption_not_found"


class ReturnExceeds(BadInput):
    """More is returned than was bought, a line that was not, or one line twice."""

    code = "return_exceeds"


@dataclass(frozen=True, slots=True)
class ReturnedLine:
    """One line that is returned: so many pieces, None = all that are left of it."""

    line_id: str
    quantity: float | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """What comes back of one coupon on one line, and how much of the line is back then.

    `is_over`: nothing is left of the coupon on any line.
    """

    row: RowMapping
    returned_quantity: Fraction
    discount_minor: int
    points: int
    is_over: bool

    @property
    def cost_minor(self) -> int:
        """What its campaign gets back: the discount, and its points at what they cost."""
        if self.is_over:
            return int(self.row["cost_minor"] - self.row["returned_cost_minor"])
        points_minor = self.row["cost_minor"] - self.row["discount_minor"]
        return self.discount_minor + (points_minor * self.points // self.row["points"] if self.points else 0)


def roll_back(
    ledger: Ledger,
    redemption_id: str,
    lines: Sequence[ReturnedLine] | None,
    request: IdempotentRequest,
    *,
    render: Callable[[RolledBack], StoredResponse],
) -> StoredResponse:
    """Takes a redemption back, whole or by line; nothing comes back where all was back already.

    The result as `render` puts it, stored in the same transaction. Raises RedemptionNotFound, ReturnExceeds,
    IdempotencyMismatch and StoreUnavailable.
    """
    return run_idempotent(
        ledger, request, lambda connection: render(_roll_back(connection, redemption_id, lines, request))
    )


def _roll_back(
    connection: Connection, redemption_id: str, lines: Sequence[ReturnedLine] | None, request: IdempotentRequest
) -> RolledBack:
    share_persons(connection)
    redemption = _lock_redemption(connection, redemption_id)
    query = select(redemption_lines).where(redemption_lines.c.redemption_id == redemption_id)
    rows = connection.execute(query.order_by(redemption_lines.c.use_id, redemption_lines.c.line_id)).mappings().all()
    query = select(uses).where(uses.c.redemption_id == redemption_id).order_by(uses.c.use_id)
    use_rows = connection.execute(query).mappings().all()
    sold = _with_returned(_sold(redemption, rows), lines)
    if not any(line.after > line.before for line in sold.values()):
        return RolledBack(_rollback_document(connection, redemption_id, sold, [], rollback_id=None), ())
    offered = _offered(connection, redemption, use_rows, sold)
    parts = _parts(rows, {row["use_id"]: row["coupon_id"] for row in use_rows}, sold, offered)
    rollback_id = new_id("rbk")
    stale = _return_parts(connection, redemption, [row for row in use_rows if row["is_open"]], parts, now=request.now,
                          rollback_id=rollback_id)  # fmt: skip
    _count_lines(connection, redemption, sold, parts)
    document = _rollback_document(connection, redemption_id, sold, parts, rollback_id=rollback_id)
    connection.execute(
        insert(rollbacks).values(
            rollback_id=rollback_id,
            redemption_id=redemption_id,
            client=request.client,
            amount_minor=document["returned_minor"],
            lines=document["lines"],
            rolled_back_at=request.now,
        )
    )
    return RolledBack(document, stale)


def _lock_redemption(connection: Connection, redemption_id: str) -> RowMapping:
    """The redemption, whose row nobody else changes until the transaction ends."""
    mine = redemptions.c.redemption_id == redemption_id
    # An update that changes nothing locks the row on both databases; FOR UPDATE does nothing on SQLite.
    if not connection.execute(update(redemptions).where(mine).values(status=redemptions.c.status)).rowcount:
        raise RedemptionNotFound(f"no redemption {redemption_id!r}")
    return connection.execute(select(redemptions).where(mine)).mappings().one()


def _sold(redemption: RowMapping, rows: Rows) -> dict[str, SoldLine]:
    """All lines that were bought, as far as it was kept; else those with a coupon, and what they cost is unknown."""
    if redemption["bought"] is None:
        return {row["line_id"]: _sold_line(row, None) for row in rows}
    return {line["line_id"]: _sold_line(line, line["amount_minor"]) for line in redemption["bought"]["lines"]}


def _sold_line(line: RowMapping | JsonObject, amount_minor: int | None) -> SoldLine:
    before = exact(line["returned_quantity"])
    return SoldLine(line["quantity"], before, before, amount_minor)


def _with_returned(sold: Mapping[str, SoldLine], lines: Sequence[ReturnedLine] | None) -> dict[str, SoldLine]:
    """The same with what comes back now; raises ReturnExceeds."""
    if lines is None:
        return {line_id: replace(line, after=exact(line.quantity)) for line_id, line in sold.items()}
    after = dict(sold)
    for position, returned in enumerate(lines):
        line = sold.get(returned.line_id)
        pointer = f"/lines/{position}/line_id"
        if line is None:
            raise ReturnExceeds(f"line {returned.line_id!r} is none of this redemption; leave it out", pointer=pointer)
        if any(earlier.line_id == returned.line_id for earlier in lines[:position]):
            raise ReturnExceeds(
                f"line {returned.line_id!r} is named twice; name it once with all that comes back of it",
                pointer=pointer,
            )
        left = exact(line.quantity) - line.before
        quantity = left if returned.quantity is None else exact(returned.quantity)
        if quantity > left:
            raise ReturnExceeds(
                f"line {returned.line_id!r}: {returned.quantity:g} to return, but {float(left):g} left of "
                f"{line.quantity:g}",
                pointer=f"/lines/{position}/quantity",
            )
        after[returned.line_id] = replace(line, after=line.before + quantity)
    return after


def _offered(
    connection: Connection, redemption: RowMapping, use_rows: Rows, sold: Mapping[str, SoldLine]
) -> dict[str, tuple[int, int]]:
    """What the coupons would give on what remains; nothing of those whose terms or basket are not known."""
    bought = redemption["bought"]
    if bought is None:
        return {}
    coupons = []
    for row in use_rows:
        terms = terms_at(connection, row["offer_id"], row["offer_revision"])
        if row["is_open"] and terms is not None and not isinstance(terms, UnusableTerms):
            coupons.append(UsableCoupon(row["coupon_id"], row["offer_id"], row["campaign_id"], terms))
    situation = Situation(
        redemption["redeemed_at"],
        redemption["customer_id"],
        bought["tier"],
        redemption["channel"],
        redemption["store_id"],
    )
    lines = [
        BasketLine(one["line_id"], one["product_id"], one["quantity"], one["amount_minor"], one["attributes"])
        for one in bought["lines"]
    ]
    remaining = [
        replace(line, quantity=float(exact(line.quantity) - sold[line.line_id].after), amount_minor=left.left_minor)
        for line in lines
        if (left := sold[line.line_id]).after < exact(line.quantity)
    ]
    currency = redemption["currency"]
    return offered_on(coupons, Basket(tuple(lines), currency), Basket(tuple(remaining), currency), situation)


def _parts(
    rows: Rows, coupon_of: Mapping[str, str], sold: Mapping[str, SoldLine], offered: Mapping[str, tuple[int, int]]
) -> list[_Part]:
    """What comes back of each coupon on each line, which may be nothing."""
    given = [
        Given(
            coupon_of[row["use_id"]],
            row["line_id"],
            row["discount_minor"],
            row["points"],
            row["discount_minor"] - row["returned_minor"],
            row["points"] - row["returned_points"],
        )
        for row in rows
    ]
    left = left_of(given, sold, offered)
    has_left = {one.coupon_id for one, (minor, points) in zip(given, left, strict=True) if minor or points}
    return [
        _Part(row, sold[one.line_id].after, one.left_minor - minor, one.left_points - points,
              is_over=one.coupon_id not in has_left)
        for row, one, (minor, points) in zip(rows, given, left, strict=True)
    ]  # fmt: skip


def _return_parts(
    connection: Connection,
    redemption: RowMapping,
    open_uses: Rows,
    parts: Sequence[_Part],
    *,
    now: datetime,
    rollback_id: str,
) -> tuple[str, ...]:
    cost = {row["use_id"]: sum(part.cost_minor for part in parts if part.row["use_id"] == row["use_id"])
            for row in open_uses}  # fmt: skip
    is_over = {part.row["use_id"] for part in parts if part.is_over}
    over = [row for row in open_uses if row["use_id"] in is_over]
    _release(connection, open_uses, over, cost)
    entries = [
        LedgerEntry("return", row["campaign_id"], cost[row["use_id"]], row["use_id"], rollback_id) for row in open_uses
    ]
    append_entries(
        connection, [entry for entry in entries if entry.amount_minor], channel=redemption["channel"], now=now
    )
    connection.execute(
        update(redemptions).where(redemptions.c.redemption_id == redemption["redemption_id"]).values(
            returned_minor=redemptions.c.returned_minor + sum(part.discount_minor for part in parts),
            # Uses that an earlier rollback ended are not among `open_uses`.
            status="rolled_back" if len(over) == len(open_uses) else "partly_returned",
        )
    )  # fmt: skip
    stale = stale_subjects_of(connection, open_uses)
    enqueue(connection, stale, now=now)
    return stale


def _count_lines(
    connection: Connection, redemption: RowMapping, sold: Mapping[str, SoldLine], parts: Sequence[_Part]
) -> None:
    """Writes down how much of each line is back, and what of each coupon."""
    table = redemption_lines.c
    mine = table.redemption_id == redemption["redemption_id"]
    statement = (
        update(redemption_lines)
        # SQLAlchemy keeps the columns' own names for the SET clause, so these parameters have others.
        .where(mine, table.use_id == bindparam("use"), table.line_id == bindparam("of"))
        .values(
            returned_quantity=bindparam("back"),
            returned_minor=table.returned_minor + bindparam("discount"),
            returned_cost_minor=table.returned_cost_minor + bindparam("cost"),
            returned_points=table.returned_points + bindparam("point_count"),
        )
    )
    changes = [
        {
            "use": part.row["use_id"],
            "of": part.row["line_id"],
            "back": float(part.returned_quantity),
            "discount": part.discount_minor,
            "cost": part.cost_minor,
            "point_count": part.points,
        }
        for part in parts
    ]
    if changes:
        connection.execute(statement, changes)
    bought = redemption["bought"]
    if bought is not None:
        lines = [one | {"returned_quantity": float(sold[one["line_id"]].after)} for one in bought["lines"]]
        is_it = redemptions.c.redemption_id == redemption["redemption_id"]
        connection.execute(update(redemptions).where(is_it).values(bought=bought | {"lines": lines}))


def _release(connection: Connection, open_uses: Rows, over: Rows, cost: Mapping[str, int]) -> None:
    """Coupons and counters of what is over, the money of all."""
    money = [(row["campaign_id"], cost[row["use_id"]]) for row in open_uses]
    release_claims(connection, [claimed_use_of(row) for row in over], money, was_hold=False)
    is_over = {row["use_id"] for row in over}
    connection.execute(update(uses).where(uses.c.use_id.in_(is_over)).values(is_open=False))


def _line_documents(sold: Mapping[str, SoldLine], parts: Sequence[_Part]) -> list[dict[str, Any]]:
    """The lines that come back or lose some of their discount."""
    documents = []
    for line_id, line in sold.items():
        mine = [part for part in parts if part.row["line_id"] == line_id]
        discount_minor, points = sum(part.discount_minor for part in mine), sum(part.points for part in mine)
        if line.after > line.before or discount_minor or points:
            quantity = float(line.after - line.before)
            documents.append(
                {"line_id": line_id, "quantity": quantity, "discount_minor": discount_minor, "points": points}
            )
    return documents


def _rollback_document(
    connection: Connection,
    redemption_id: str,
    sold: Mapping[str, SoldLine],
    parts: Sequence[_Part],
    *,
    rollback_id: str | None,
) -> dict[str, Any]:
    row = connection.execute(select(redemptions).where(redemptions.c.redemption_id == redemption_id)).mappings().one()
    returned_minor = sum(part.discount_minor for part in parts)
    is_known = all(line.amount_minor is not None for line in sold.values())
    return {
        "rollback_id": rollback_id,
        "redemption_id": redemption_id,
        "status": row["status"],
        "returned_minor": returned_minor,
        "refund_minor": sum(line.returned_minor for line in sold.values()) - returned_minor if is_known else None,
        "discount_left_minor": row["discount_minor"] - row["returned_minor"],
        "lines": _line_documents(sold, parts),
    }
