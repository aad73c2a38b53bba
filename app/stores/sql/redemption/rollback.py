"""Rollbacks: the exact inverse of a redemption, whole or by line, and only once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from app.errors import BadInput, Missing
from app.offers.terms.codes import new_id
from app.offers.terms.money import exact
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
    """More is returned than was redeemed, a line without a discount, or one line twice."""

    code = "return_exceeds"


@dataclass(frozen=True, slots=True)
class ReturnedLine:
    """One line that is returned: so many pieces, None = all that are left of it."""

    line_id: str
    quantity: float | None = None


@dataclass(frozen=True, slots=True)
class _ReturnedPart:
    """What comes back of one coupon on one line; quantities as the decimals that were written down."""

    row: RowMapping
    quantity: Fraction

    @property
    def after(self) -> Fraction:
        """How much of the line is back with it."""
        return exact(self.row["returned_quantity"]) + self.quantity

    def of(self, column: str) -> int:
        """The part of this column that comes back now: the parts of all returns add up to the whole, to the cent."""
        whole, quantity = self.row[column], self.row["quantity"]
        before = returned_part(whole, exact(self.row["returned_quantity"]), quantity)
        return returned_part(whole, self.after, quantity) - before

    @property
    def is_last(self) -> bool:
        """True when nothing of the line is left after it."""
        return self.after >= exact(self.row["quantity"])


def returned_part(whole: int, returned: Fraction, quantity: float) -> int:
    """What came back of `whole` by the time that so much of the line's quantity is back, rounded down."""
    return whole if returned >= exact(quantity) else int(whole * returned / exact(quantity))


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
    redemption = _lock_redemption(connection, redemption_id)
    query = select(redemption_lines).where(redemption_lines.c.redemption_id == redemption_id)
    rows = connection.execute(query.order_by(redemption_lines.c.use_id, redemption_lines.c.line_id)).mappings().all()
    parts = _parts(rows, lines)
    rollback_id = new_id("rbk")
    stale: tuple[str, ...] = ()
    if parts:
        stale = _return_parts(connection, redemption, rows, parts, rollback_id, request)
    return RolledBack(_rollback_document(connection, redemption_id, rollback_id, parts), stale)


def _lock_redemption(connection: Connection, redemption_id: str) -> RowMapping:
    """The redemption, whose row nobody else changes until the transaction ends."""
    mine = redemptions.c.redemption_id == redemption_id
    # An update that changes nothing locks the row on both databases; FOR UPDATE does nothing on SQLite.
    if not connection.execute(update(redemptions).where(mine).values(status=redemptions.c.status)).rowcount:
        raise RedemptionNotFound(f"no redemption {redemption_id!r}")
    return connection.execute(select(redemptions).where(mine)).mappings().one()


def _parts(rows: Rows, lines: Sequence[ReturnedLine] | None) -> list[_ReturnedPart]:
    """What comes back of each coupon's lines; raises ReturnExceeds."""
    if lines is None:
        return [_ReturnedPart(row, left) for row in rows if (left := _left(row)) > 0]
    parts = []
    for position, returned in enumerate(lines):
        mine = [row for row in rows if row["line_id"] == returned.line_id]
        if not mine:
            raise ReturnExceeds(
                f"line {returned.line_id!r} had no coupon in this redemption; leave it out",
                pointer=f"/lines/{position}/line_id",
            )
        if any(earlier.line_id == returned.line_id for earlier in lines[:position]):
            raise ReturnExceeds(
                f"line {returned.line_id!r} is named twice; name it once with all that comes back of it",
                pointer=f"/lines/{position}/line_id",
            )
        for row in mine:
            left = _left(row)
            quantity = left if returned.quantity is None else exact(returned.quantity)
            if quantity > left:
                raise ReturnExceeds(
                    f"line {returned.line_id!r}: {returned.quantity:g} to return, but {float(left):g} left of "
                    f"{row['quantity']:g}",
                    pointer=f"/lines/{position}/quantity",
                )
            if quantity > 0:
                parts.append(_ReturnedPart(row, quantity))
    return parts


def _left(row: RowMapping) -> Fraction:
    return exact(row["quantity"]) - exact(row["returned_quantity"])


def _return_parts(
    connection: Connection,
    redemption: RowMapping,
    rows: Rows,
    parts: Sequence[_ReturnedPart],
    rollback_id: str,
    request: IdempotentRequest,
) -> tuple[str, ...]:
    redemption_id = redemption["redemption_id"]
    _count_lines(connection, redemption_id, parts)
    use_rows = connection.execute(
        select(uses).where(uses.c.redemption_id == redemption_id, uses.c.is_open).order_by(uses.c.use_id)
    ).mappings().all()  # fmt: skip
    cost = {row["use_id"]: sum(part.of("cost_minor") for part in parts if part.row["use_id"] == row["use_id"])
            for row in use_rows}  # fmt: skip
    over = [row for row in use_rows if _is_over(row["use_id"], rows, parts)]
    _release(connection, use_rows, over, cost)
    amount_minor = sum(part.of("discount_minor") for part in parts)
    entries = [
        LedgerEntry("return", row["campaign_id"], cost[row["use_id"]], row["use_id"], rollback_id) for row in use_rows
    ]
    append_entries(
        connection, [entry for entry in entries if entry.amount_minor], channel=redemption["channel"], now=request.now
    )
    connection.execute(
        update(redemptions).where(redemptions.c.redemption_id == redemption_id).values(
            returned_minor=redemptions.c.returned_minor + amount_minor,
            # Uses that an earlier rollback ended are not among `use_rows`.
            status="rolled_back" if len(over) == len(use_rows) else "partly_returned",
        )
    )  # fmt: skip
    connection.execute(
        insert(rollbacks).values(
            rollback_id=rollback_id,
            redemption_id=redemption_id,
            client=request.client,
            amount_minor=amount_minor,
            lines=_line_documents(parts),
            rolled_back_at=request.now,
        )
    )
    stale = stale_subjects_of(connection, use_rows)
    enqueue(connection, stale, now=request.now)
    return stale


def _count_lines(connection: Connection, redemption_id: str, parts: Sequence[_ReturnedPart]) -> None:
    table = redemption_lines.c
    statement = (
        update(redemption_lines)
        # SQLAlchemy keeps the columns' own names for the SET clause, so these parameters have others.
        .where(table.redemption_id == redemption_id, table.use_id == bindparam("use"), table.line_id == bindparam("of"))
        .values(returned_quantity=bindparam("back"))
    )
    connection.execute(
        statement,
        [
            {
                "use": part.row["use_id"],
                "of": part.row["line_id"],
                "back": float(part.after),
            }
            for part in parts
        ],
    )


def _is_over(use_id: str, rows: Rows, parts: Sequence[_ReturnedPart]) -> bool:
    """True when every line of this coupon is back."""
    now_over = {part.row["line_id"] for part in parts if part.row["use_id"] == use_id and part.is_last}
    return all(
        row["line_id"] in now_over or row["returned_quantity"] >= row["quantity"]
        for row in rows
        if row["use_id"] == use_id
    )


def _release(connection: Connection, use_rows: Rows, over: Rows, cost: Mapping[str, int]) -> None:
    """Coupons and counters of what is over, the money of all."""
    money = [(row["campaign_id"], cost[row["use_id"]]) for row in use_rows]
    release_claims(connection, [claimed_use_of(row) for row in over], money, was_hold=False)
    is_over = {row["use_id"] for row in over}
    connection.execute(update(uses).where(uses.c.use_id.in_(is_over)).values(is_open=False))


def _line_documents(parts: Sequence[_ReturnedPart]) -> list[dict[str, Any]]:
    by_line: dict[str, dict[str, Any]] = {}
    for part in parts:
        line = by_line.setdefault(
            part.row["line_id"],
            {"line_id": part.row["line_id"], "quantity": float(part.quantity), "discount_minor": 0, "points": 0},
        )
        line["discount_minor"] += part.of("discount_minor")
        line["points"] += part.of("points")
    return list(by_line.values())


def _rollback_document(
    connection: Connection, redemption_id: str, rollback_id: str, parts: Sequence[_ReturnedPart]
) -> dict[str, Any]:
    row = connection.execute(select(redemptions).where(redemptions.c.redemption_id == redemption_id)).mappings().one()
    lines = _line_documents(parts)
    return {
        "rollback_id": rollback_id if parts else None,
        "redemption_id": redemption_id,
        "status": row["status"],
        "returned_minor": sum(line["discount_minor"] for line in lines),
        "discount_left_minor": row["discount_minor"] - row["returned_minor"],
        "lines": lines,
    }
