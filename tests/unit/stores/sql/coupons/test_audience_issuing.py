"""Everybody of an audience gets a coupon per offer once, whatever breaks off; so does who activates an offer."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.offers.terms.records import Coupon, CouponStatus
from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms
from app.stores.sql.campaigns.campaigns import CampaignNotFound, OfferNotFound, act_on_campaign, withdraw_offer
from app.stores.sql.campaigns.memberships import set_tier
from app.stores.sql.coupons import audience_issuing as audience
from app.stores.sql.coupons import issuing as coupons
from app.stores.sql.coupons.audience_issuing import IssueReport, NotIssuable
from app.stores.sql.database.engine import Ledger
from tests.support.tills import START, run_campaign

PEOPLE = [f"c{number:04}" for number in range(2300)]


def terms(by: str, **fields: object) -> OfferTerms:
    discount = Amount(type="amount", amount_minor=500)
    return OfferTerms.model_validate({"name": "off", "discount": discount, "issue": {"by": by}} | fields)


def run(ledger: Ledger, *offers: OfferTerms, campaign_id: str = "c", **fields: object) -> None:
    campaign = CampaignTerms.model_validate({"name": campaign_id, "currency": "EUR"} | fields)
    run_campaign(ledger, campaign_id, campaign, *offers)


def add(ledger: Ledger, *customer_ids: str) -> int:
    return ledger.write(lambda connection: audience.add_audience(connection, "c", customer_ids, now=START))


def silent(_done: int, _total: int) -> None:
    return None


def issue(ledger: Ledger, offer_id: str | None = None) -> IssueReport:
    return audience.issue_to_audience(ledger, "c", offer_id, now=START, progress=silent)


def activate(ledger: Ledger, offer_id: str = "c-0", customer_id: str = "ann") -> Coupon:
    return ledger.write(lambda connection: audience.activate(connection, offer_id, customer_id, now=START))


def wallet(ledger: Ledger, customer_id: str) -> list[Coupon]:
    return ledger.read(lambda connection: coupons.coupons_of(connection, [customer_id], open_only=False))


def test_audience_counts_whom_it_did_not_know(ledger: Ledger) -> None:
    run(ledger)
    assert add(ledger, "ann", "bob", "ann") == 2
    assert add(ledger, "bob", "cid") == 1
    assert add(ledger) == 0
    with pytest.raises(CampaignNotFound):
        ledger.write(lambda connection: audience.add_audience(connection, "none", ["ann"], now=START))


def test_segment_is_who_is_of_the_tier_now(ledger: Ledger) -> None:
    run(ledger, terms("audience"))
    for customer_id, tier in (("ann", "gold"), ("bob", "silver"), ("cid", "gold")):
        ledger.write(lambda connection, one=customer_id, of=tier: set_tier(connection, one, of, now=START))  # type: ignore[misc]
    add(ledger, "ann")
    for expected in (1, 0):
        added = ledger.write(lambda connection: audience.add_segment(connection, "c", tier="gold", now=START))
        assert added == expected
    issue(ledger)
    assert [len(wallet(ledger, customer_id)) for customer_id in ("ann", "bob", "cid")] == [1, 0, 1]


def test_everybody_gets_each_offer_of_the_audience_once(ledger: Ledger) -> None:
    run(ledger, terms("audience"), terms("decision"), terms("audience"), terms("audience"))
    ledger.write(lambda connection: withdraw_offer(connection, "c-3", now=START))
    add(ledger, "ann", "bob")
    assert issue(ledger) == IssueReport("c", audience_count=2, issued_count=4, known_count=0)
    assert issue(ledger) == IssueReport("c", audience_count=2, issued_count=0, known_count=4)
    assert sorted(coupon.offer_id for coupon in wallet(ledger, "ann")) == ["c-0", "c-2"]
    add(ledger, "cid")
    assert issue(ledger, "c-0") == IssueReport("c", audience_count=3, issued_count=1, known_count=2)


def test_revoked_coupon_is_not_issued_again(ledger: Ledger) -> None:
    run(ledger, terms("audience"))
    add(ledger, "ann")
    issue(ledger)
    (coupon,) = wallet(ledger, "ann")
    assert ledger.write(lambda connection: coupons.revoke(connection, coupon.coupon_id, now=START))
    assert issue(ledger).issued_count == 0


def test_run_that_broke_off_is_taken_up_by_the_next(ledger: Ledger) -> None:
    class Broken(Exception):
        pass

    def breaking(done: int, total: int) -> None:
        assert total == len(PEOPLE)
        if done > 1000:
            raise Broken

    run(ledger, terms("audience"))
    add(ledger, *PEOPLE)
    with pytest.raises(Broken):
        audience.issue_to_audience(ledger, "c", None, now=START, progress=breaking)
    report = issue(ledger)
    assert 0 < report.issued_count < len(PEOPLE)
    assert report.issued_count + report.known_count == len(PEOPLE)
    assert {len(wallet(ledger, customer_id)) for customer_id in PEOPLE[::100]} == {1}


def test_two_runs_at_once_issue_once(ledger: Ledger) -> None:
    run(ledger, terms("audience"))
    add(ledger, *PEOPLE)
    with ThreadPoolExecutor(2) as pool:
        reports = [future.result() for future in [pool.submit(issue, ledger) for _ in range(2)]]
    assert sum(report.issued_count for report in reports) == len(PEOPLE)
    assert {len(wallet(ledger, customer_id)) for customer_id in PEOPLE[::100]} == {1}


def test_what_gives_nothing_to_an_audience_is_refused(ledger: Ledger) -> None:
    run(ledger, terms("audience"), terms("decision"), terms("audience"), terms("audience", valid_until=START))
    run(ledger, terms("audience"), campaign_id="other")
    ledger.write(lambda connection: withdraw_offer(connection, "c-2", now=START))
    for offer_id, why in (
        ("c-1", "by decision"), ("c-2", "withdrawn"), ("c-3", "valid until"), ("other-0", "campaign 'other'"),
    ):  # fmt: skip
        with pytest.raises(NotIssuable, match=why):
            issue(ledger, offer_id)
    with pytest.raises(OfferNotFound):
        issue(ledger, "none")
    ledger.write(lambda connection: act_on_campaign(connection, "c", "end", now=START))
    with pytest.raises(NotIssuable, match="ended"):
        issue(ledger)


def test_offer_is_activated_once_whoever_asks_at_the_same_time(ledger: Ledger) -> None:
    run(ledger, terms("decision"))
    with ThreadPoolExecutor(4) as pool:
        made = [future.result() for future in [pool.submit(activate, ledger) for _ in range(8)]]
    assert len({coupon.coupon_id for coupon in made}) == 1
    assert wallet(ledger, "ann") == made[:1]
    assert activate(ledger, customer_id="bob").coupon_id != made[0].coupon_id


def test_activated_coupon_is_answered_after_the_offer_is_withdrawn(ledger: Ledger) -> None:
    run(ledger, terms("decision"))
    first = activate(ledger)
    assert ledger.write(lambda connection: coupons.revoke(connection, first.coupon_id, now=START))
    ledger.write(lambda connection: withdraw_offer(connection, "c-0", now=START))
    again = activate(ledger)
    assert (again.coupon_id, again.status) == (first.coupon_id, CouponStatus.REVOKED)
    with pytest.raises(NotIssuable, match="withdrawn"):
        activate(ledger, customer_id="bob")


def test_only_offers_by_decision_of_running_campaigns_are_activated(ledger: Ledger) -> None:
    run(ledger, terms("audience"), terms("decision"))
    with pytest.raises(NotIssuable, match="by audience"):
        activate(ledger, "c-0")
    with pytest.raises(OfferNotFound):
        activate(ledger, "none")
    ledger.write(lambda connection: act_on_campaign(connection, "c", "pause", now=START))
    with pytest.raises(NotIssuable, match="paused"):
        activate(ledger, "c-1")
    run(ledger, terms("decision"), campaign_id="later", starts_at=START + timedelta(days=1))
    with pytest.raises(NotIssuable, match="scheduled"):
        activate(ledger, "later-0")


class WhileRead(tuple[str, ...]):
    """Customer ids; whoever reads them first lets another request add a customer of its own."""

    meanwhile: Callable[[], object]

    def __iter__(self) -> Iterator[str]:
        self.meanwhile()
        return super().__iter__()


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_each_of_two_requests_at_once_counts_its_own_new_members(ledger: Ledger) -> None:
    run(ledger)
    mine, others = WhileRead(["ann", "bob"]), ["eve", "mia"]
    mine.meanwhile = lambda: others and add(ledger, others.pop())
    assert ledger.write(lambda connection: audience.add_audience(connection, "c", mine, now=START)) == 2
