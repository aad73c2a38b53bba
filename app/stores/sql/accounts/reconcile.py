"""The audit of the ledger: every amount, count and state that is kept twice must agree with what it repeats."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select, text

from app.stores.sql.database.tables import budget_ledger, counters, redemption_lines, redemptions, rollbacks, uses


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Two figures that should be one: `found` is kept for `subject`, `expected` follows from what it repeats."""

    what: str
    subject: str
    expected: object
    found: object


def reconcile(connection: Connection) -> list[Discrepancy]:
    """Everything in the ledger that does not add up, nothing when all does; reads all of it and locks nothing."""
    return [*_sums(connection), *_returns(connection), *_counters(connection)]


_ENTERED = """
    SELECT campaign_id,
           SUM(CASE kind WHEN 'hold' THEN amount_minor WHEN 'release' THEN -amount_minor ELSE 0 END) AS held,
           SUM(CASE kind WHEN 'spend' THEN amount_minor WHEN 'return' THEN -amount_minor ELSE 0 END) AS spent
    FROM budget_ledger GROUP BY campaign_id
"""
_ENTERED_OF_USE = """
    SELECT use_id,
           SUM(CASE kind WHEN 'hold' THEN amount_minor ELSE 0 END) AS hold,
           SUM(CASE kind WHEN 'release' THEN amount_minor ELSE 0 END) AS released,
           SUM(CASE kind WHEN 'spend' THEN amount_minor ELSE 0 END) AS spent
    FROM budget_ledger WHERE use_id IS NOT NULL GROUP BY use_id
"""
_LINES_OF_USE = """
    SELECT use_id, SUM(discount_minor) AS discount, SUM(cost_minor) AS cost, SUM(points) AS points,
           CASE WHEN SUM(discount_minor) + SUM(points) > 0
                THEN SUM(CASE WHEN returned_minor < discount_minor OR returned_points < points THEN 1 ELSE 0 END)
                WHEN SUM(returned_quantity) > 0 THEN 0 ELSE 1 END AS left_count
    FROM redemption_lines GROUP BY use_id
"""
_SQL = {
    "money held of a campaign": f"""
        SELECT c.campaign_id, COALESCE(e.held, 0), c.held_minor
        FROM campaigns c LEFT JOIN ({_ENTERED}) e ON e.campaign_id = c.campaign_id
        WHERE COALESCE(e.held, 0) <> c.held_minor""",
    "money spent of a campaign": f"""
        SELECT c.campaign_id, COALESCE(e.spent, 0), c.spent_minor
        FROM campaigns c LEFT JOIN ({_ENTERED}) e ON e.campaign_id = c.campaign_id
        WHERE COALESCE(e.spent, 0) <> c.spent_minor""",
    "budget of a campaign that covers what is spent and held": """
        SELECT campaign_id, budget_minor, spent_minor + held_minor FROM campaigns
        WHERE spent_minor + held_minor > budget_minor""",
    "last budget entered for a campaign": """
        SELECT c.campaign_id, c.budget_minor, e.amount_minor
        FROM campaigns c LEFT JOIN budget_ledger e ON e.entry_id = (
            SELECT MAX(entry_id) FROM budget_ledger WHERE campaign_id = c.campaign_id AND kind = 'budget')
        WHERE c.budget_minor IS NOT NULL AND (e.amount_minor IS NULL OR e.amount_minor <> c.budget_minor)""",
    "campaign of a budget entry": """
        SELECT e.entry_id, u.campaign_id, e.campaign_id
        FROM budget_ledger e LEFT JOIN uses u ON u.use_id = e.use_id
        WHERE e.kind <> 'budget' AND (u.use_id IS NULL OR u.campaign_id <> e.campaign_id)""",
    "money held for a use": f"""
        SELECT u.use_id, u.cost_minor, COALESCE(e.hold, 0)
        FROM uses u LEFT JOIN ({_ENTERED_OF_USE}) e ON e.use_id = u.use_id
        WHERE u.reservation_id IS NOT NULL AND COALESCE(e.hold, 0) <> u.cost_minor""",
    "money released of a use": f"""
        SELECT u.use_id, CASE WHEN u.is_open THEN 0 ELSE u.cost_minor END, COALESCE(e.released, 0)
        FROM uses u LEFT JOIN ({_ENTERED_OF_USE}) e ON e.use_id = u.use_id
        WHERE u.reservation_id IS NOT NULL
          AND COALESCE(e.released, 0) <> CASE WHEN u.is_open THEN 0 ELSE u.cost_minor END""",
    "money spent for a use": f"""
        SELECT u.use_id, u.cost_minor, COALESCE(e.spent, 0)
        FROM uses u LEFT JOIN ({_ENTERED_OF_USE}) e ON e.use_id = u.use_id
        WHERE u.redemption_id IS NOT NULL AND COALESCE(e.spent, 0) <> u.cost_minor""",
    "reservation or redemption of a use": """
        SELECT use_id, 1, CASE WHEN reservation_id IS NULL THEN 0 ELSE 2 END FROM uses
        WHERE (reservation_id IS NULL) = (redemption_id IS NULL)""",
    "discount, cost and points of a use by line": f"""
        SELECT u.use_id, u.discount_minor || '/' || u.cost_minor || '/' || u.points,
               COALESCE(l.discount || '/' || l.cost || '/' || l.points, 'no lines')
        FROM uses u LEFT JOIN ({_LINES_OF_USE}) l ON l.use_id = u.use_id
        WHERE u.redemption_id IS NOT NULL AND (l.use_id IS NULL OR l.discount <> u.discount_minor
              OR l.cost <> u.cost_minor OR l.points <> u.points)""",
    "discount of a redemption": """
        SELECT r.redemption_id, SUM(u.discount_minor), r.discount_minor
        FROM redemptions r LEFT JOIN uses u ON u.redemption_id = r.redemption_id
        GROUP BY r.redemption_id, r.discount_minor
        HAVING COALESCE(SUM(u.discount_minor), -1) <> r.discount_minor""",
    "open use of a redemption": f"""
        SELECT u.use_id, l.left_count, CASE WHEN u.is_open THEN 1 ELSE 0 END
        FROM uses u JOIN ({_LINES_OF_USE}) l ON l.use_id = u.use_id
        WHERE CASE WHEN u.is_open THEN 1 ELSE 0 END <> CASE WHEN l.left_count > 0 THEN 1 ELSE 0 END""",
    "status of a redemption": f"""
        SELECT redemption_id, expected, status FROM (
            SELECT r.redemption_id, r.status,
                   CASE WHEN SUM(l.left_count) = 0 THEN 'rolled_back'
                        WHEN EXISTS (SELECT 1 FROM rollbacks b WHERE b.redemption_id = r.redemption_id)
                        THEN 'partly_returned' ELSE 'redeemed' END AS expected
            FROM redemptions r JOIN uses u ON u.redemption_id = r.redemption_id
            JOIN ({_LINES_OF_USE}) l ON l.use_id = u.use_id
            GROUP BY r.redemption_id, r.status) AS derived
        WHERE expected <> status""",
    "status of a reservation": """
        SELECT r.reservation_id, CASE WHEN u.is_open THEN 'held' ELSE 'over' END, r.status
        FROM reservations r JOIN uses u ON u.reservation_id = r.reservation_id
        WHERE CASE WHEN u.is_open THEN 1 ELSE 0 END <> CASE WHEN r.status = 'held' THEN 1 ELSE 0 END""",
    "uses and holds of a coupon": """
        SELECT coupon_id, is_used || '+' || is_held, uses || '+' || holds FROM (
            SELECT c.coupon_id, c.uses, c.holds,
                   SUM(CASE WHEN u.is_open AND u.redemption_id IS NOT NULL THEN 1 ELSE 0 END) AS is_used,
                   SUM(CASE WHEN u.is_open AND u.reservation_id IS NOT NULL THEN 1 ELSE 0 END) AS is_held
            FROM coupons c LEFT JOIN uses u ON u.coupon_id = c.coupon_id
            GROUP BY c.coupon_id, c.uses, c.holds) AS counted
        WHERE is_used <> uses OR is_held <> holds""",
    "uses that a coupon may have": """
        SELECT coupon_id, max_uses, uses + holds FROM coupons WHERE uses + holds > max_uses""",
    "status of a coupon": """
        SELECT coupon_id, expected, status FROM (
            SELECT coupon_id, status,
                   CASE WHEN status IN ('revoked', 'expired') THEN status WHEN uses >= max_uses THEN 'redeemed'
                        WHEN uses + holds >= max_uses THEN 'reserved' ELSE 'issued' END AS expected
            FROM coupons) AS derived
        WHERE expected <> status""",
    "answer of an idempotency key": "SELECT key, 'an answer', status FROM idempotency WHERE status = 0",
}
"""What must be one figure: queries of (subject, expected, found) that find nothing in a sound ledger."""
_QUERIES = {what: text(query) for what, query in _SQL.items()}


def _sums(connection: Connection) -> Iterator[Discrepancy]:
    for what, query in _QUERIES.items():
        for subject, expected, found in connection.execute(query):
            yield Discrepancy(what, str(subject), expected, found)


def _returns(connection: Connection) -> Iterator[Discrepancy]:
    """What came back of each line, against the entries, redemptions and rollbacks that record it."""
    line = redemption_lines.c
    query = select(line.redemption_id, line.use_id, line.returned_minor, line.returned_cost_minor)
    cost: Counter[str] = Counter()
    discount: Counter[str] = Counter()
    for row in connection.execute(query.where((line.returned_minor > 0) | (line.returned_cost_minor > 0))):
        cost[row.use_id] += row.returned_cost_minor
        discount[row.redemption_id] += row.returned_minor
    entered = select(budget_ledger.c.use_id, func.sum(budget_ledger.c.amount_minor)).group_by(budget_ledger.c.use_id)
    rolled_back = select(rollbacks.c.redemption_id, func.sum(rollbacks.c.amount_minor)).group_by(
        rollbacks.c.redemption_id
    )
    kept = select(redemptions.c.redemption_id, redemptions.c.returned_minor).where(redemptions.c.returned_minor != 0)
    sums: tuple[tuple[str, Counter[str], Select[Any]], ...] = (
        ("money returned of a use", cost, entered.where(budget_ledger.c.kind == "return")),
        ("discount returned of a redemption", discount, kept),
        ("discount of a redemption's rollbacks", discount, rolled_back),
    )
    for what, expected, kept_sums in sums:
        found = {subject: int(minor) for subject, minor in connection.execute(kept_sums)}
        yield from _differences(what, expected, found)


def _counters(connection: Connection) -> Iterator[Discrepancy]:
    open_uses = connection.execute(select(uses.c.counters).where(uses.c.is_open)).scalars()
    expected = Counter("|".join(parts) for keys in open_uses for parts in keys)
    found = {"|".join(row[:4]): row.used for row in connection.execute(select(counters))}
    yield from _differences("uses that count towards a limit", expected, found)


def _differences(what: str, expected: Counter[str], found: dict[str, int]) -> Iterator[Discrepancy]:
    for subject in sorted(expected.keys() | found.keys()):
        if expected[subject] != found.get(subject, 0):
            yield Discrepancy(what, subject, expected[subject], found.get(subject, 0))
