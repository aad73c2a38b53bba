"""Any history of campaigns, coupons, tills and time, every step of which the reference model must predict."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.api.till.responses import redemption_response, release_response, reservation_response, rollback_response
from app.errors import BadTransition
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.status import Action
from app.offers.terms.terms import CampaignTerms, OfferTerms
from app.stores.sql.accounts.reconcile import reconcile
from app.stores.sql.campaigns.campaigns import (
    BudgetBelowSpend,
    act_on_campaign,
    change_campaign,
    change_offer,
    create_campaign,
    create_offer,
    find_campaign,
    find_offer,
)
from app.stores.sql.coupons.issuing import expire_due, issue, revoke
from app.stores.sql.database.engine import Ledger
from app.stores.sql.redemption.documents import quote_document
from app.stores.sql.redemption.idempotency import (
    KEEP,
    IdempotencyMismatch,
    IdempotentRequest,
    StoredResponse,
    run_idempotent,
)
from app.stores.sql.redemption.question import PriceGuarantee, Question
from app.stores.sql.redemption.quote import quote
from app.stores.sql.redemption.redeem import Order, redeem, reserve
from app.stores.sql.redemption.reservations import ReservationOver, expire_reservations, release
from app.stores.sql.redemption.rollback import ReturnedLine, ReturnExceeds, roll_back
from tests.invariants import comparison, strategies
from tests.invariants.comparison import check_document, check_limits, state_of_model, uses_of
from tests.invariants.ledger_state import dump, money_and_uses, state_of
from tests.invariants.reference_model import LEADS_TO, ReferenceModel
from tests.invariants.reference_records import (
    Benefit,
    ModelCampaign,
    ModelCoupon,
    ModelOffer,
    ModelQuestion,
    Redemption,
    Reservation,
    Use,
    exact,
)
from tests.support.tills import START

T = TypeVar("T")
Send = Callable[[IdempotentRequest], StoredResponse]

FIRST_COUPONS, MOST_COUPONS = 5, 9


@dataclass(frozen=True, slots=True)
class Write:
    """One write as its client may send it again."""

    send: Send
    request: IdempotentRequest
    answer: StoredResponse


class Histories(RuleBasedStateMachine):
    """`seen` counts over all runs what happened, so that a test can tell that everything did."""

    def __init__(self, ledger: Ledger, seen: Counter[str]) -> None:
        super().__init__()
        self.ledger, self.seen = ledger, seen
        self.model, self.now, self.writes, self.key_count = ReferenceModel(), START, list[Write](), 0
        self.step_count = 0

    @initialize(
        terms=st.tuples(strategies.campaign_terms, strategies.campaign_terms),
        of=st.tuples(strategies.offers, strategies.offers),
    )
    def open_campaigns(self, terms: Sequence[CampaignTerms], of: Sequence[Sequence[OfferTerms]]) -> None:
        for position, (one, offers) in enumerate(zip(terms, of, strict=True)):
            model = ModelCampaign(f"campaign-{position}", one)
            self.model.campaigns.append(model)
            self.ledger.write(partial(create_campaign, campaign_id=model.campaign_id, terms=one, now=self.now))
            self._act(model, "schedule")
            for number, offer in enumerate(offers):
                offer_id = f"offer-{position}-{number}"
                self.model.offers.append(ModelOffer(offer_id, model, [offer]))
                self.ledger.write(partial(
                    create_offer, campaign_id=model.campaign_id, offer_id=offer_id, terms=offer, now=self.now
                ))  # fmt: skip
        for number in range(FIRST_COUPONS):
            self.issue_coupon(number, strategies.CUSTOMERS[number % 2])

    @rule(step=strategies.steps)
    def take_step(self, step: tuple[str, ...]) -> None:
        """One step; time passes where there is nothing yet for it to be done with."""
        name, *rest = step
        self.seen["runs of 30 steps"] += self.step_count == 29
        self.step_count += 1
        if name not in _NEEDS or _NEEDS[name](self):
            getattr(self, name)(*rest)
        else:
            self.let_time_pass(0.05)

    def issue_coupon(self, offer: int, customer: str | None) -> None:
        model = _one(self.model.offers, offer)

        def work(connection: Any) -> list[Any]:
            found = find_offer(connection, model.offer_id)
            campaign = find_campaign(connection, found.campaign_id)
            return issue(connection, found, campaign, [customer], issued_by="test", now=self.now)

        (coupon,) = self.ledger.write(work)
        last = coupon.valid_until
        self.model.coupons.append(
            ModelCoupon(coupon.coupon_id, coupon.code, model, customer, model.revisions[-1].uses_per_code, last)
        )

    def let_time_pass(self, hours: float) -> None:
        self.now += timedelta(hours=hours)

    # --- tills ---

    def pay(
        self, codes: list[int], customer: str | None, wallet: bool, lines: tuple[BasketLine, ...], held: int | None,
        guaranteed: int | None,
    ) -> None:  # fmt: skip
        """A quote that changes nothing, and the redemption, which must give the same."""
        reservation = _one(self.model.reservations, held) if held is not None and self.model.reservations else None
        query, question = self._question(codes, customer, wallet, lines, reservation, guaranteed)
        send = partial(redeem, self.ledger, question, Order("order"), render=redemption_response)
        if reservation is not None and (error := comparison.why_not_theirs(reservation, query)):
            self._refused(send, error)
            return
        document = self._quoted(question)
        answer = self._write(send)
        given, uses = self._check(query, answer, document)
        if not given:
            self.seen["redemption refused"] += 1
            return
        if reservation is not None:
            self.model.end(reservation, "redeemed")
            self.seen["reservation redeemed"] += 1
        self.model.redeem(Redemption(orjson.loads(answer.body)["redemption_id"], uses, lines))
        self.seen[f"redeemed {min(len(uses), 2)}"] += 1

    def hold(self, codes: list[int], customer: str, wallet: bool, lines: tuple[BasketLine, ...], minutes: int) -> None:
        query, question = self._question(codes, customer, wallet, lines, None, None)
        query = replace(query, is_to_reserve=True)
        document = self._quoted(replace(question, is_to_reserve=True))
        ttl = timedelta(minutes=minutes)
        send = partial(reserve, self.ledger, question, order_id=None, ttl=ttl, render=reservation_response)
        answer = self._write(send)
        given, uses = self._check(query, answer, document)
        if given:
            reservation_id = orjson.loads(answer.body)["reservation_id"]
            self.model.hold(Reservation(reservation_id, self.now, self.now + ttl, uses, query.customer))
        self.seen["held" if given else "reservation refused"] += 1

    def give_up(self, pick: int) -> None:
        one = _one(self.model.reservations, pick)
        now = self.now
        send = lambda request: run_idempotent(  # noqa: E731 - sent again later
            self.ledger, request, lambda c: release_response(release(c, one.reservation_id, now=now))
        )
        if one.status == "redeemed":
            self._refused(send, ReservationOver)
            return
        answer = self._write(send)
        if one.status == "held":
            self.model.end(one, "released")
            self.seen["released"] += 1
        assert orjson.loads(answer.body)["status"] == one.status

    def return_redemption(self, pick: int, parts: list[tuple[int, float | None]] | None) -> None:
        """All of a redemption, or some lines of it, or parts of them; more than there is is refused."""
        one = _one(self.model.redemptions, pick)
        left = one.left
        lines = (
            None if parts is None else [ReturnedLine(_one(sorted(left), position), part) for position, part in parts]
        )
        send = partial(roll_back, self.ledger, one.redemption_id, lines, render=rollback_response)
        wanted = [(line, left[line.line_id]) for line in lines or ()]
        back = {line.line_id: exact(line.quantity) if line.quantity else rest for line, rest in wanted}
        if len(back) < len(wanted) or any(back[line.line_id] > rest for line, rest in wanted):
            self._refused(send, ReturnExceeds)
            self.seen["return refused"] += 1
            return
        was = one.status
        document = orjson.loads(self._write(send).body)
        recorded = comparison.left_of_uses(self.ledger, one.redemption_id)
        returned = self.model.return_lines(one, left if lines is None else back, recorded)
        assert (document["returned_minor"], document["status"]) == (returned, one.status)
        self.seen[f"{was}, then {one.status}"] += 1

    def pay_with_all_of_the_wallet(self, customer: str, lines: tuple[BasketLine, ...]) -> None:
        self.pay([], customer, True, lines, None, None)

    def pay_with_what_is_held(self, pick: int, lines: tuple[BasketLine, ...]) -> None:
        one = _one(self.model.reservations, -1 - pick % 3)
        self.pay([], one.uses[0].given.coupon.customer or strategies.CUSTOMERS[0], False, lines, -1 - pick % 3, None)

    def pay_and_return(self, codes: list[int], lines: tuple[BasketLine, ...]) -> None:
        """There and back again: budgets, limits and wallets are as before, and back once more is nothing."""
        self.sweep()
        before = money_and_uses(self.ledger)
        count = len(self.model.redemptions)
        self.pay(codes, strategies.OWNER, True, lines, None, None)
        if len(self.model.redemptions) > count:
            self.return_redemption(count, None)
            assert money_and_uses(self.ledger) == before
            after = dump(self.ledger, but="idempotency")
            self.return_redemption(count, None)
            assert dump(self.ledger, but="idempotency") == after
            self.seen["there and back"] += 1

    # --- the same again ---

    def send_again(self, pick: int, times: int) -> None:
        write = _one(self.writes, -1 - pick)
        request = replace(write.request, now=self.now)
        if write.request.now < self.now - KEEP:
            return
        before = dump(self.ledger)
        for _ in range(times):
            again = write.send(request)
            assert (again.status, again.body, again.is_replay) == (write.answer.status, write.answer.body, True)
        assert dump(self.ledger) == before
        self.seen[f"answered {again.status} again"] += 1

    def send_another_body(self, pick: int) -> None:
        write = _one(self.writes, -1 - pick)
        if write.request.now < self.now - KEEP:
            return
        before = dump(self.ledger)
        with pytest.raises(IdempotencyMismatch):
            write.send(replace(write.request, now=self.now, fingerprint="another"))
        assert dump(self.ledger) == before
        self.seen["another body refused"] += 1

    # --- the house ---

    def sweep(self) -> None:
        """What the worker does by and by."""
        overdue = self.model.overdue(self.now)
        assert expire_reservations(self.ledger, now=self.now) == len(overdue)
        for reservation in overdue:
            self.model.end(reservation, "expired")
        ends = [(one, one.valid_until) for one in self.model.coupons if one.status == "issued" and not one.holds]
        due = [one for one, valid_until in ends if valid_until is not None and valid_until <= self.now]
        assert expire_due(self.ledger, now=self.now) == len(due)
        for coupon in due:
            coupon.ended = "expired"
        self.seen["reservation expired"] += len(overdue)
        self.seen["coupon expired"] += len(due)

    def revoke_coupon(self, pick: int) -> None:
        coupon = _one(self.model.coupons, pick)
        is_unused = not coupon.uses and not coupon.holds
        is_revocable = coupon.status == "issued" and (is_unused or coupon.max_uses != 1)
        assert self.ledger.write(lambda c: revoke(c, coupon.coupon_id, now=self.now)) is is_revocable
        coupon.ended = "revoked" if is_revocable else coupon.ended
        self.seen["revoked"] += is_revocable

    def change_budget(self, pick: int, more: int) -> None:
        """A budget by so much above what is spent and held; below is refused."""
        model = _one(self.model.campaigns, pick)
        terms = model.terms.model_copy(update={"budget_minor": max(model.spent + model.held + more, 0)})
        work = lambda c: change_campaign(c, model.campaign_id, terms, revision=None, now=self.now)  # noqa: E731
        if model.spent + model.held + more < 0 or more >= 0:
            self.ledger.write(work)
            model.terms = terms
            return
        before = dump(self.ledger)
        with pytest.raises(BudgetBelowSpend):
            self.ledger.write(work)
        assert dump(self.ledger) == before
        self.seen["budget refused"] += 1

    def act(self, pick: int, action: Action) -> None:
        self._act(_one(self.model.campaigns, pick), action)

    def change_offer_terms(self, pick: int, terms: OfferTerms) -> None:
        model = _one(self.model.offers, pick)
        self.ledger.write(lambda c: change_offer(c, model.offer_id, terms, revision=None, now=self.now))
        model.revisions.append(terms)

    # --- what holds after every step ---

    @invariant()
    def accounts_add_up(self) -> None:
        assert self.ledger.read(reconcile) == []
        assert self.ledger.read(state_of) == state_of_model(self.model)
        check_limits(self.model)

    def _act(self, model: ModelCampaign, action: Action) -> None:
        work = lambda c: act_on_campaign(c, model.campaign_id, action, now=self.now)  # noqa: E731
        after = LEADS_TO.get((model.status, action))
        if after is None:
            with pytest.raises(BadTransition):
                self.ledger.write(work)
            return
        self.ledger.write(work)
        model.status = after

    def _question(
        self, codes: Sequence[int], customer: str | None, wallet: bool, lines: tuple[BasketLine, ...],
        reservation: Reservation | None, guaranteed: int | None,
    ) -> tuple[ModelQuestion, Question]:  # fmt: skip
        typed = [_one(self.model.coupons, pick) for pick in codes]
        if customer == strategies.OWNER:
            customer = next((one.customer for one in typed if one.customer), strategies.CUSTOMERS[0])
        held = [] if reservation is None else [use.given.coupon for use in reservation.uses]
        own = [one for one in self.model.coupons if one.customer == customer and one.status in ("issued", "reserved")]
        coupons = tuple(dict.fromkeys([*typed, *held, *(own if wallet and customer else ())]))
        guarantee = None
        if guaranteed is not None:
            offer = _one(self.model.offers, guaranteed)
            decided_at = max(self.now - timedelta(hours=3), START)
            guarantee = PriceGuarantee(decided_at, {offer.offer_id: 1 + guaranteed % len(offer.revisions)})
        query = ModelQuestion(
            coupons, customer, lines, self.now, reservation,
            guarantee.decided_at if guarantee else None, guarantee.revisions if guarantee else {},
        )  # fmt: skip
        question = Question(
            Basket(lines, "EUR"), Situation(self.now, customer), tuple(one.code for one in typed), wallet,
            reservation.reservation_id if reservation else None, guarantee,
        )  # fmt: skip
        return query, question

    def _quoted(self, question: Question) -> dict[str, Any]:
        before = dump(self.ledger)
        document = quote_document(self.ledger.read(lambda connection: quote(connection, question)))
        assert dump(self.ledger) == before
        return document

    def _check(
        self, query: ModelQuestion, answer: StoredResponse, document: dict[str, Any]
    ) -> tuple[list[Benefit], list[Use]]:
        """What was given, as the model says and as the dry run said; reservations that were in the way are over."""
        given, refused = self.model.expected(query)
        body = orjson.loads(answer.body)
        assert answer.status == (201 if given else 409), body
        assert body["refused"] == document["refused"]
        if given:
            assert {name: body[name] for name in document} == document
        check_document(document, given, refused)
        overdue = self.model.overdue(self.now)
        touched = {coupon.offer.campaign.campaign_id for coupon in query.coupons}
        if any(use.given.coupon.offer.campaign.campaign_id in touched for one in overdue for use in one.uses):
            for one in overdue:
                self.model.end(one, "expired")
            self.seen["overdue reservation in the way"] += 1
        return given, uses_of(query, given, document)

    def _write(self, send: Send) -> StoredResponse:
        request = self._request()
        answer = send(request)
        assert not answer.is_replay
        self.writes.append(Write(send, request, answer))
        return answer

    def _refused(self, send: Send, error: type[Exception]) -> None:
        before = dump(self.ledger)
        with pytest.raises(error):
            send(self._request())
        assert dump(self.ledger) == before
        self.seen[error.__name__] += 1

    def _request(self) -> IdempotentRequest:
        self.key_count += 1
        return IdempotentRequest("till", f"key {self.key_count}", f"body {self.key_count}", self.now)


_NEEDS: dict[str, Callable[[Histories], object]] = {
    "issue_coupon": lambda one: len(one.model.coupons) < MOST_COUPONS,
    "revoke_coupon": lambda one: len(one.model.coupons) > FIRST_COUPONS,
    "pay_with_what_is_held": lambda one: one.model.reservations,
    "give_up": lambda one: one.model.reservations,
    "return_redemption": lambda one: one.model.redemptions,
    "send_again": lambda one: one.writes,
    "send_another_body": lambda one: one.writes,
}


def _one(items: Sequence[T], pick: int) -> T:
    return items[pick % len(items)]
