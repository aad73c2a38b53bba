"""Erasing one person: nothing is left of them, nothing of others is touched, and every cent stays where it was."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, func, insert, select

from app.api.till.responses import redemption_response, rollback_response
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.stores.sql.accounts.reconcile import reconcile
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import (
    budget_ledger,
    campaigns,
    counters,
    coupons,
    idempotency,
    metadata,
    redemptions,
    reservations,
)
from app.stores.sql.erasure.erasing import erase_in_sql
from app.stores.sql.erasure.export import find_in_sql
from app.stores.sql.erasure.located import Located, locate
from app.stores.sql.redemption.idempotency import IdempotentRequest
from app.stores.sql.redemption.question import Question
from app.stores.sql.redemption.redeem import Order, redeem
from app.stores.sql.redemption.rollback import roll_back
from tests.support.tills import START, give, run_campaign
from tests.unit.stores.sql.erasure.people import OFFERS, TERMS, People, pseudonym_of, texts

SEEDS = range(3)
CHANGED_BY_RELEASES = {"campaigns", "budget_ledger", "projection_queue", "counters"}

Rows = dict[str, list[tuple[str, ...]]]


def rows_of(ledger: Ledger) -> Rows:
    """Every value of every row of every table, as text."""
    return ledger.read(lambda connection: {
        name: sorted(tuple(map(texts, row)) for row in connection.exec_driver_sql(f"SELECT * FROM {name}"))
        for name in metadata.tables
    })  # fmt: skip


def that_name(rows: Rows, secrets: set[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The rows in which one of these texts stands anywhere."""
    return [
        (table, row)
        for table, of in rows.items()
        for row in of
        if any(secret in value for value in row for secret in secrets)
    ]


def money(ledger: Ledger) -> Any:
    """What is billed and reported: by campaign and kind, by redemption without its customer, by limit without."""

    def look(connection: Connection) -> Any:
        entries = select(budget_ledger.c.campaign_id, budget_ledger.c.kind, func.sum(budget_ledger.c.amount_minor))
        billed = entries.where(budget_ledger.c.kind.in_(("spend", "return", "budget")))
        paid = select(
            redemptions.c.redemption_id, redemptions.c.basket_minor, redemptions.c.discount_minor,
            redemptions.c.returned_minor, redemptions.c.status,
        )  # fmt: skip
        spent = select(campaigns.c.campaign_id, campaigns.c.spent_minor)
        return [
            sorted(map(tuple, connection.execute(query)))
            for query in (billed.group_by(budget_ledger.c.campaign_id, budget_ledger.c.kind), paid, spent)
        ]

    return ledger.read(look)


def erase(ledger: Ledger, people: People, who: str, located: Located | None = None) -> dict[str, int]:
    work = partial(erase_in_sql, keys=people.keys[who], pseudonym_of=pseudonym_of, now=people.now, located=located)
    return ledger.write(work)


def test_erased_person_is_nowhere_and_accounts_and_others_are_as_before(ledger: Ledger) -> None:
    touched: Counter[str] = Counter()
    for seed in SEEDS:
        people = People(ledger, seed)
        people.live()
        before, billed = rows_of(ledger), money(ledger)
        assert that_name(before, people.secrets["ada"])
        others = people.secrets["bob"] | people.secrets["cy"]
        theirs = [one for one in that_name(before, others) if one[0] not in CHANGED_BY_RELEASES]
        kept = [one for one in theirs if one not in that_name(before, people.secrets["ada"])]
        touched.update(erase(ledger, people, "ada", locate(ledger, people.keys["ada"], now=people.now)))
        after = rows_of(ledger)
        assert that_name(after, people.secrets["ada"]) == []
        assert ledger.read(reconcile) == []
        assert money(ledger) == billed
        assert [one for one in kept if one[1] not in after[one[0]]] == []
        # Of rows that quoted her the rest stays: no row of others is gone.
        assert len(that_name(after, others)) >= len(kept)
    assert touched.keys() == {
        "audience", "memberships", "receipt_lines", "identities", "persons", "consents", "preferences",
        "customer_changes", "projection_queue", "pending_revocations", "coupons", "counters", "uses", "redemptions",
        "reservations", "stock_reservations", "idempotency",
    }  # fmt: skip


def test_second_erasure_touches_nothing(ledger: Ledger) -> None:
    people = People(ledger, 101)
    people.live()
    assert erase(ledger, people, "ada")
    before = rows_of(ledger)
    assert erase(ledger, people, "ada") == {}
    assert rows_of(ledger) == before
    assert ledger.read(partial(find_in_sql, keys=people.keys["ada"], now=people.now)) == {}


def test_export_has_every_text_that_the_erasure_takes(ledger: Ledger) -> None:
    people = People(ledger, 102)
    people.live()
    mine = people.secrets["ada"]
    stored = " ".join(value for _, row in that_name(rows_of(ledger), mine) for value in row)
    found = ledger.read(partial(find_in_sql, keys=people.keys["ada"], now=people.now))
    exported = orjson.dumps(found).decode()
    assert [one for one in sorted(mine) if one in stored and one not in exported] == []
    assert [one for one in people.secrets["bob"] | people.secrets["cy"] if one in exported and "card" not in one] == []


def test_row_that_came_after_the_search_is_erased_too(ledger: Ledger) -> None:
    people = People(ledger, 103)
    people.live()
    located = locate(ledger, people.keys["ada"], now=people.now)
    for step in (people.pay, people.hold, people.receive, people.put_aside):
        step("ada")
    people.try_code_of_another("bob")
    erase(ledger, people, "ada", located)
    assert that_name(rows_of(ledger), people.secrets["ada"]) == []


def test_ids_that_are_called_as_lines_and_products_are_leave_those_alone(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", TERMS, *OFFERS)
    for who in ("1", "330"):
        pay(ledger, who, give(ledger, "spring-0", who).code, f"order-{who}")
    before = rows_of(ledger)
    ledger.write(partial(erase_in_sql, keys=["c:1"], pseudonym_of=pseudonym_of, now=START))
    after = rows_of(ledger)
    assert after["redemption_lines"] == before["redemption_lines"]
    ((_, body),) = ((row[1], row[4]) for row in after["idempotency"])
    assert body in {row[4] for row in before["idempotency"]}
    assert sum(row in before["redemptions"] for row in after["redemptions"]) == 1
    assert ledger.read(reconcile) == []


def test_request_sent_again_after_the_erasure_has_no_second_effect(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", TERMS, *OFFERS)
    give(ledger, "spring-0", "ada")
    shared = give(ledger, "spring-2", None)
    assert pay(ledger, "ada", shared.code, "order-7", key="random-key").status == 201
    ledger.write(partial(erase_in_sql, keys=["c:ada"], pseudonym_of=pseudonym_of, now=START))
    again = pay(ledger, "ada", shared.code, "order-7", key="random-key")
    assert again.is_replay
    assert b"order-7" not in again.body
    assert ledger.read(lambda c: c.execute(select(func.count()).select_from(redemptions)).scalar()) == 1


def test_redemption_of_an_erased_customer_can_still_be_rolled_back(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", TERMS, *OFFERS)
    answer = pay(ledger, "ada", give(ledger, "spring-0", "ada").code, "order-7")
    ledger.write(partial(erase_in_sql, keys=["c:ada"], pseudonym_of=pseudonym_of, now=START))
    request = IdempotentRequest("till", "back", "back", START)
    redemption_id = orjson.loads(answer.body)["redemption_id"]
    assert roll_back(ledger, redemption_id, None, request, render=rollback_response).status == 200
    assert ledger.read(reconcile) == []
    assert ledger.read(lambda c: c.execute(select(func.sum(counters.c.used))).scalar()) == 0


def test_ids_of_one_person_under_one_pseudonym_count_together(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", TERMS, *OFFERS)
    for who in ("ada", "eve"):
        pay(ledger, who, give(ledger, "spring-0", who).code, f"order-{who}")
    ledger.write(partial(erase_in_sql, keys=["c:ada", "c:eve"], pseudonym_of=lambda _: "gone", now=START))
    assert ledger.read(reconcile) == []
    is_gone = counters.c.subject == "gone"
    assert ledger.read(lambda c: sorted(c.execute(select(counters.c.used).where(is_gone)).scalars())) == [2, 2]


def test_redemption_that_races_with_the_erasure_comes_before_it_or_finds_no_coupon(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", TERMS.model_copy(update={"limits": ()}), *OFFERS)
    for number in range(12):
        who = f"ada{number}"
        coupon = give(ledger, "spring-0", who)
        erasing = partial(erase_in_sql, keys=[f"c:{who}"], pseudonym_of=pseudonym_of, now=START)
        with ThreadPoolExecutor(2) as pool:
            paid = pool.submit(pay, ledger, who, coupon.code, f"order-{who}")
            erased = pool.submit(ledger.write, erasing)
            status, touched = paid.result().status, erased.result()
        assert (status == 201) == ("redemptions" in touched)
        left = ledger.read(lambda c, of=who: c.execute(  # type: ignore[misc]
            select(redemptions.c.order_id).where(redemptions.c.customer_id == of)
        ).all())  # fmt: skip
        assert left == []
        assert ledger.read(reconcile) == []
    assert rows_that_are_open(ledger) == 0


def rows_that_are_open(ledger: Ledger) -> int:
    is_open = select(func.count()).select_from(coupons).where(coupons.c.status.in_(("issued", "reserved")))
    return int(ledger.read(lambda c: c.execute(is_open).scalar_one()))


@pytest.mark.parametrize("key", ["order-7", "pay:order-7", "ada/1"])
def test_record_whose_key_names_the_order_or_the_person_is_deleted(ledger: Ledger, key: str) -> None:
    run_campaign(ledger, "spring", TERMS, *OFFERS)
    pay(ledger, "ada", give(ledger, "spring-0", "ada").code, "order-7", key=key)
    pay(ledger, "bob", give(ledger, "spring-0", "bob").code, "order-8", key="order-77")
    ledger.write(partial(erase_in_sql, keys=["c:ada"], pseudonym_of=pseudonym_of, now=START))
    assert [row[1] for row in rows_of(ledger)["idempotency"]] == ["order-77"]


def pay(ledger: Ledger, who: str, code: str, order_id: str, *, key: str | None = None, now: datetime = START) -> Any:
    question = Question(Basket((BasketLine("1", "330", 1.0, 2000),), "EUR"), Situation(now, who), codes=(code,))
    request = IdempotentRequest("till", key or f"key {order_id}", order_id, now)
    return redeem(ledger, question, Order(order_id), request, render=redemption_response)


def test_search_in_a_large_ledger_finds_what_no_index_leads_to(ledger: Ledger) -> None:
    """Many reservations of others do not hide the one; codes are found as they are written."""
    run_campaign(ledger, "spring", TERMS, *OFFERS)
    coupon = give(ledger, "spring-0", "ada")
    rows = [
        {
            "reservation_id": f"r{number}", "status": "expired", "order_id": None, "customer_id": None,
            "client": "web", "created_at": START - timedelta(days=90), "expires_at": START - timedelta(days=89),
            "answer": {"refused": [{"code": coupon.shown_code.lower() if number == 700 else "WELCOME"}]},
        }
        for number in range(1500)
    ]  # fmt: skip
    ledger.write(lambda c: c.execute(insert(reservations), rows))
    located = locate(ledger, ["c:ada"], now=START)
    assert located.reservation_ids == ("r700",)
    assert ledger.read(lambda c: c.execute(select(func.count()).select_from(idempotency)).scalar()) == 0
