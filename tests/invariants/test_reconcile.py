"""The audit: silent about a sound ledger, and loud about every figure that somebody changed by hand."""

from pathlib import Path

import pytest
from sqlalchemy import text

from app.api.till.responses import rollback_response
from app.commands.doctor import examine
from app.offers.terms.terms import Amount, CampaignTerms, Limit, OfferTerms
from app.settings import Settings
from app.stores.sql.accounts.reconcile import reconcile
from app.stores.sql.database.engine import Ledger
from app.stores.sql.redemption.rollback import ReturnedLine, roll_back
from tests.invariants.test_edges import OFFER, held, paid, question, till_request
from tests.support.tills import give, run_campaign

LIMITED = CampaignTerms(name="Spring", currency="EUR", budget_minor=10_000, limits=(Limit(scope="customer", count=9),))
CODE_FOR_TWO = OfferTerms(name="One off", discount=Amount(type="amount", amount_minor=100), uses_per_code=2)

TAMPERINGS = {
    "UPDATE campaigns SET held_minor = held_minor + 1": "money held of a campaign",
    "UPDATE campaigns SET spent_minor = spent_minor + 1": "money spent of a campaign",
    "UPDATE campaigns SET budget_minor = 1": "budget of a campaign that covers what is spent and held",
    "UPDATE campaigns SET budget_minor = 9999": "last budget entered for a campaign",
    "UPDATE uses SET campaign_id = 'autumn'": "campaign of a budget entry",
    "UPDATE uses SET cost_minor = 7 WHERE reservation_id IS NOT NULL": "money held for a use",
    "UPDATE uses SET is_open = NOT is_open WHERE reservation_id IS NOT NULL": "money released of a use",
    "UPDATE uses SET cost_minor = 7 WHERE redemption_id IS NOT NULL": "money spent for a use",
    "UPDATE uses SET redemption_id = NULL, reservation_id = NULL": "reservation or redemption of a use",
    "UPDATE redemption_lines SET cost_minor = cost_minor + 1": "discount, cost and points of a use by line",
    "UPDATE redemption_lines SET points = 1": "discount, cost and points of a use by line",
    "UPDATE redemptions SET discount_minor = 1": "discount of a redemption",
    "UPDATE uses SET is_open = NOT is_open WHERE redemption_id IS NOT NULL": "open use of a redemption",
    "UPDATE redemptions SET status = 'rolled_back'": "status of a redemption",
    "UPDATE reservations SET status = 'released'": "status of a reservation",
    "UPDATE coupons SET uses = 0": "uses and holds of a coupon",
    "UPDATE coupons SET holds = 0": "uses and holds of a coupon",
    "UPDATE coupons SET uses = 3 WHERE max_uses = 2": "uses that a coupon may have",
    "UPDATE coupons SET status = 'reserved'": "status of a coupon",
    "UPDATE idempotency SET status = 0": "answer of an idempotency key",
    "UPDATE redemption_lines SET returned_cost_minor = 7": "money returned of a use",
    "UPDATE redemptions SET returned_minor = 1": "discount returned of a redemption",
    "UPDATE rollbacks SET amount_minor = 1": "discount of a redemption's rollbacks",
    "UPDATE counters SET used = used + 1": "uses that count towards a limit",
    "DELETE FROM counters": "uses that count towards a limit",
    """INSERT INTO budget_ledger (campaign_id, kind, amount_minor, use_id, funder, entered_at)
       SELECT campaign_id, 'return', 5, use_id, 'retailer', '2026-11-01' FROM uses""": "money returned of a use",
}


@pytest.fixture
def busy_ledger(ledger: Ledger) -> Ledger:
    """A ledger with a redemption that is partly returned, one of a reservation, and one open reservation."""
    run_campaign(ledger, "spring", LIMITED, OFFER, CODE_FOR_TWO)
    run_campaign(ledger, "autumn", LIMITED)
    redemption_id = paid(ledger, question(give(ledger, "spring-0", "ada"), quantity=2), "pay")
    roll_back(ledger, redemption_id, [ReturnedLine("1", 1)], till_request("back"), render=rollback_response)
    code = give(ledger, "spring-1", "ada")
    paid(ledger, question(reservation_id=held(ledger, code)), "pay reserved")
    held(ledger, give(ledger, "spring-0", "ada"), key="hold another")
    return ledger


def test_sound_ledger_has_no_discrepancies(busy_ledger: Ledger) -> None:
    assert busy_ledger.read(reconcile) == []


def test_every_figure_changed_by_hand_is_found(busy_ledger: Ledger) -> None:
    missed = [tampering for tampering, what in TAMPERINGS.items() if what not in found_after(busy_ledger, tampering)]
    assert missed == []
    assert busy_ledger.read(reconcile) == []


def found_after(ledger: Ledger, tampering: str) -> set[str]:
    """What the audit finds in the transaction of a change, which is taken back."""
    with ledger.engine.connect() as connection:
        connection.execute(text(tampering))
        found = {one.what for one in reconcile(connection)}
        connection.rollback()
    return found


def test_doctor_tells_what_does_not_add_up(busy_ledger: Ledger, ledger_url: str, tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path, database_url=ledger_url)
    (sound,) = [one for one in examine(settings) if one.part == "ledger accounts"]
    assert sound.is_ok
    busy_ledger.write(lambda connection: connection.execute(text("UPDATE campaigns SET held_minor = held_minor + 1")))
    (found,) = [one for one in examine(settings) if one.part == "ledger accounts"]
    assert not found.is_ok
    assert "money held of a campaign" in found.detail
