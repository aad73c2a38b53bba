"""Three customers who do at random what the ledger knows, so that one of them can be erased."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select, update

from app.api.till.responses import redemption_response, release_response, reservation_response, rollback_response
from app.customers.consents import ALL_CHANNELS, GRANTED
from app.customers.identities import customer_id_of, identity_of
from app.offers.rules.receipts import ReceiptLine
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.records import Coupon
from app.offers.terms.terms import Amount, ByDecision, CampaignTerms, Limit, OfferTerms, Percent
from app.places.stock import StockReport
from app.stores.sql.campaigns.memberships import set_tier
from app.stores.sql.coupons.audience_issuing import activate, add_audience
from app.stores.sql.coupons.issuing import revoke_when_unused
from app.stores.sql.coupons.receipt_issuing import BY_RECEIPT
from app.stores.sql.customers.consents import Evidence, Said, say
from app.stores.sql.customers.links import link, separate
from app.stores.sql.customers.preferences import set_preferences
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import coupons, receipt_lines
from app.stores.sql.places.reservations import Order as StockOrder
from app.stores.sql.places.reservations import ReservedLine
from app.stores.sql.places.reservations import reserve as put_aside
from app.stores.sql.places.stock import apply_stock
from app.stores.sql.redemption.idempotency import IdempotentRequest, StoredResponse, run_idempotent
from app.stores.sql.redemption.question import Question
from app.stores.sql.redemption.redeem import Order, redeem, reserve
from app.stores.sql.redemption.reservations import ReservationOver, release
from app.stores.sql.redemption.rollback import ReturnedLine, ReturnExceeds, roll_back
from tests.support.tills import START, give, run_campaign

STEPS = 30
TERMS = CampaignTerms(name="Spring", currency="EUR", budget_minor=100_000, limits=(
    Limit(scope="customer", count=4), Limit(scope="customer", count=3, period="day"), Limit(scope="code", count=3),
    Limit(scope="campaign", count=90),
))  # fmt: skip
OFFERS = (
    OfferTerms(name="Five off", discount=Amount(type="amount", amount_minor=500), combinable=True),
    OfferTerms(name="Often", discount=Percent(type="percent", percent=10), uses_per_code=3, gcn="4012345678901"),
    OfferTerms(name="Everybody's", discount=Amount(type="amount", amount_minor=100), uses_per_code=None),
    OfferTerms(name="Activated", discount=Amount(type="amount", amount_minor=200), issue=ByDecision(by="decision")),
)


def pseudonym_of(name: str) -> str:
    """As short, as steady and as unlike as a secret key would make it."""
    return "gone_" + sha256(b"pepper" + name.encode()).hexdigest()[:24]


class People:
    """`keys` of ada, bob and cy; `secrets` are all texts that name or belong to each of them."""

    def __init__(self, ledger: Ledger, seed: int) -> None:
        self.ledger, self.random, self.name = ledger, Random(seed), f"w{seed}"
        self.now, self.number = START, 0
        self.keys = {
            who: (
                f"c:{self.name}-{who}-customer",
                f"c:~loyalty_card:{self.name}-{who}-card",
                f"a:{self.name}-{who}-device",
            )
            for who in ("ada", "bob", "cy")
        }
        self.secrets: dict[str, set[str]] = {who: {key[2:] for key in keys} for who, keys in self.keys.items()}
        self.coupons: list[tuple[str, Coupon]] = []
        self.redemptions: list[tuple[str, str]] = []
        self.reservations: list[tuple[str, str, str]] = []
        run_campaign(ledger, self.name, TERMS, *OFFERS)
        self.shared = give(ledger, f"{self.name}-2", None)
        stock = [("330", "p1", StockReport("erp", self.name, self.now, None, quantity_milli=10**6))]
        ledger.write(lambda c: apply_stock(c, stock, now=self.now))

    def live(self) -> None:
        """Everybody has everything once, and then what chance brings."""
        every: list[Callable[[str], None]] = [
            self.link, self.say, self.belong, self.give, self.activate, self.receive, self.pay, self.hold, self.hold,
            self.put_aside, self.try_code_of_another, self.change_hands, self.note_revocation, self.give_by_receipt,
        ]  # fmt: skip
        for step in every:
            for who in self.keys:
                step(who)
        chances = (self.pay, self.pay, self.hold, self.give_up, self.redeem_held, self.return_goods, self.give,
                   self.link, self.try_code_of_another)  # fmt: skip
        for _ in range(STEPS):
            self.now += timedelta(minutes=self.random.choice((0, 1, 300)))
            self.random.choice(chances)(self.random.choice(tuple(self.keys)))
        for who in self.keys:
            self.link(who)
            self.hold(who)
            self.note_revocation(who)

    def link(self, who: str) -> None:
        owner, *others = self.keys[who]
        for key in others:
            kind, value = ("device", key[2:]) if key.startswith("a:") else ("loyalty_card", key.rpartition(":")[2])
            self.ledger.write(partial(link, owner=owner, identity=identity_of(kind, value), now=self.now))

    def change_hands(self, who: str) -> None:
        """Uses count for a person whose names are two people's later: a neighbour had the card once."""
        card = identity_of("loyalty_card", self.keys[who][1].rpartition(":")[2])
        neighbour = self.keys["cy" if who != "cy" else "bob"][0]
        self.ledger.write(partial(link, owner=neighbour, identity=card, now=self.now))
        self.pay(who)
        self.ledger.write(partial(separate, owner=neighbour, identity=card, now=self.now))
        self.link(who)

    def say(self, who: str) -> None:
        source = self.secret(who, "form")
        self.ledger.write(partial(
            say, key=self.keys[who][0], said=Said("marketing_email", ALL_CHANNELS, GRANTED),
            evidence=Evidence(source, "v1"), now=self.now,
        ))  # fmt: skip
        wanted = {"opted_out": {"brand": [self.secret(who, "brand")]}}
        self.ledger.write(partial(set_preferences, key=self.keys[who][0], document=wanted, now=self.now))

    def belong(self, who: str) -> None:
        customer_id = self.customer(who)
        answer = StoredResponse(200, orjson.dumps({"customer_id": customer_id, "tier": "gold"}))

        def work(connection: Connection) -> StoredResponse:
            set_tier(connection, customer_id, "gold", now=self.now)
            add_audience(connection, self.name, [customer_id], now=self.now)
            return answer

        run_idempotent(self.ledger, self.request(), work)

    def give(self, who: str) -> None:
        number = self.random.choice((0, 1))
        self.keep(who, give(self.ledger, f"{self.name}-{number}", self.customer(who), now=self.now))

    def give_by_receipt(self, who: str) -> None:
        (coupon,) = (one for one in (give(self.ledger, f"{self.name}-0", self.customer(who), now=self.now),))
        key = f"{BY_RECEIPT}:{self.name}-0:{self.secret(who, 'receipt')}"
        is_it = coupons.c.coupon_id == coupon.coupon_id
        written = self.secret(who, "WRITTEN").upper().replace("O", "0").replace("I", "1").replace("L", "1")
        self.secrets[who].add(written)
        values = {"issue_key": key, "written_code": written, "code": written.replace("-", "")}
        self.ledger.write(lambda c: c.execute(update(coupons).where(is_it).values(values)))
        self.secrets[who].add(values["code"])

    def activate(self, who: str) -> None:
        """The stored response has the customer and the code of the coupon."""

        def work(connection: Connection) -> StoredResponse:
            coupon = activate(connection, f"{self.name}-3", self.customer(who), now=self.now)
            self.keep(who, coupon)
            body = {"coupon_id": coupon.coupon_id, "code": coupon.shown_code, "customer_id": coupon.customer_id}
            return StoredResponse(200, orjson.dumps(body))

        run_idempotent(self.ledger, self.request(), work)

    def receive(self, who: str) -> None:
        receipt = self.secret(who, "receipt")
        lines = [
            ReceiptLine(receipt, self.secret(who, "event"), "purchase", "p1", 1.0, 100, "EUR", customer_id, "store",
                        "330", self.now, self.now - age)
            for customer_id, age in ((self.customer(who), timedelta(0)), (None, timedelta(days=3)))
        ]  # fmt: skip
        self.ledger.write(lambda c: c.execute(insert(receipt_lines), [asdict(one) for one in lines]))

    def pay(self, who: str) -> None:
        self._redeem(who, None)

    def redeem_held(self, who: str) -> None:
        mine = [one for one in self.reservations if one[0] == who]
        if mine:
            self._redeem(who, self.random.choice(mine))

    def _redeem(self, who: str, held: tuple[str, str, str] | None) -> None:
        customer_id = self.customer(who) if held is None else held[2]
        question = self.question(who, customer_id, reservation_id=None if held is None else held[1])
        order_id = self.secret(who, "order")
        order = Order(order_id, decision_id=self.secret(who, "decision"))
        try:
            answer = redeem(self.ledger, question, order, self.request(f"pay-{order_id}"), render=redemption_response)
        except ReservationOver:
            return
        if answer.status == 201:
            self.redemptions.append((who, orjson.loads(answer.body)["redemption_id"]))

    def hold(self, who: str) -> None:
        customer_id = self.customer(who)
        answer = reserve(
            self.ledger, self.question(who, customer_id), self.request(), order_id=None, ttl=timedelta(days=2),
            render=reservation_response,
        )  # fmt: skip
        if answer.status == 201:
            self.reservations.append((who, orjson.loads(answer.body)["reservation_id"], customer_id))

    def give_up(self, who: str) -> None:
        mine = [one[1] for one in self.reservations if one[0] == who]
        if mine:
            reservation_id = self.random.choice(mine)
            with suppress(ReservationOver):
                run_idempotent(
                    self.ledger,
                    self.request(),
                    lambda c: release_response(release(c, reservation_id, now=self.now)),
                )

    def return_goods(self, who: str) -> None:
        mine = [one[1] for one in self.redemptions if one[0] == who]
        if mine:
            redemption_id = self.random.choice(mine)
            lines = self.random.choice((None, [ReturnedLine("1")]))
            with suppress(ReturnExceeds):
                roll_back(self.ledger, redemption_id, lines, self.request(), render=rollback_response)

    def put_aside(self, who: str) -> None:
        order = StockOrder(self.secret(who, "order"), "shop", self.customer(who))
        lines = [ReservedLine("p1", 1000)]

        def work(connection: Connection) -> StoredResponse:
            document = put_aside(connection, order, "330", lines, now=self.now, ttl=timedelta(hours=1))
            return StoredResponse(201, orjson.dumps(document))

        run_idempotent(self.ledger, self.request(f"aside {order.order_id}"), work)

    def try_code_of_another(self, who: str) -> None:
        """A code that is somebody else's: the answer says it again, in the ledger as in the stored response."""
        others = [coupon.code for of, coupon in self.coupons if of != who]
        question = self.question(who, self.customer(who), codes=(self.shared.code, self.random.choice(others)))
        reserve(
            self.ledger, question, self.request(), order_id=None, ttl=timedelta(days=2), render=reservation_response
        )

    def note_revocation(self, who: str) -> None:
        ids = select(coupons.c.coupon_id).where(coupons.c.customer_id.in_([key[2:] for key in self.keys[who]]))
        coupon_id = self.ledger.read(lambda c: c.execute(ids.where(coupons.c.uses > 0)).scalars().first())
        if coupon_id is not None:
            self.ledger.write(partial(revoke_when_unused, coupon_id=coupon_id, now=self.now))

    # --- names ---

    def customer(self, who: str) -> str:
        """One of the customer's ids."""
        found = customer_id_of(self.random.choice(self.keys[who][:2]))
        assert found is not None
        return found

    def secret(self, who: str, kind: str) -> str:
        """A new text of theirs, which nothing else holds."""
        self.number += 1
        text = f"{self.name}-{who}-{kind}-{self.number}"
        self.secrets[who].add(text)
        return text

    def keep(self, who: str, coupon: Coupon) -> None:
        self.coupons.append((who, coupon))
        self.secrets[who] |= {coupon.code, coupon.shown_code}
        if coupon.serial is not None:
            self.secrets[who].add(coupon.serial)

    def request(self, key: str | None = None) -> IdempotentRequest:
        self.number += 1
        return IdempotentRequest("till", key or f"{self.name} {self.number}", str(self.number), self.now)

    def question(
        self, who: str, customer_id: str, *, reservation_id: str | None = None, codes: tuple[str, ...] = ()
    ) -> Question:
        lines = (BasketLine("1", "p1", 1.0, 2000), BasketLine("2", "p2", 2.0, 1500))
        mine = [coupon.shown_code for of, coupon in self.coupons if of == who]
        typed = codes or (*self.random.sample(mine, min(2, len(mine))), self.shared.code)
        return Question(
            Basket(lines, "EUR"), Situation(self.now, customer_id, channel="store", store_id="330"),
            codes=() if reservation_id else typed, reservation_id=reservation_id,
        )  # fmt: skip


def texts(value: Any) -> str:
    """A value of a row as text, whatever its column holds."""
    return bytes(value).decode() if isinstance(value, bytes | memoryview) else str(value)
