"""The demo shows a customer whose coupons can be shown, and shows what they give on a basket."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.commands.demo.coupons import (
    basket_of,
    couponed_product,
    find_shopper,
    qualification_lines,
)
from app.composition.stores import opened_ledger
from app.errors import BadSetting
from app.imports.run import Sources, run_imports
from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms
from app.settings import ProductSelector, Settings
from tests.support.tills import START, give, run_campaign
from tests.support.world import no_progress

NOW = START + timedelta(days=5)
LINES = """customer_id,product_id,basket_id,timestamp,quantity,amount,store_id,currency
anna,tea,1,2026-10-01,1,3.00,s1,EUR
anna,tea,2,2026-10-08,2,6.20,s2,EUR
anna,cake,2,2026-10-08,1,5.00,s2,EUR
anna,rum,2,2026-10-08,1,15.00,s2,EUR
ben,tea,3,2026-10-01,1,3.00,s1,EUR
eve,cake,4,2026-10-01,1,3.00,s3,EUR
eve,cake,5,2026-10-02,1,3.00,s3,EUR
eve,cake,6,2026-10-03,1,3.00,s3,EUR
eve,cake,7,2026-10-04,1,3.00,s3,EUR
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A data directory with a few purchases, and a campaign for tea and cake that runs until December."""
    settings = Settings.load(data_dir=tmp_path / "var")
    (tmp_path / "lines.csv").write_text(LINES)
    (tmp_path / "products.csv").write_text("product_id,name\ntea,Green tea\ncake,Cake\n")
    sources = Sources(tmp_path / "lines.csv", tmp_path / "products.csv")
    run_imports(settings, sources, shift_to_now=False, now=NOW, progress=no_progress)
    products = (ProductSelector(product_ids=("tea", "cake")),)
    offer = OfferTerms(name="1 off", discount=Amount(type="amount", amount_minor=100), applies_to=products)
    ends_at = datetime(2026, 12, 1, tzinfo=UTC)
    with opened_ledger(settings) as ledger:
        run_campaign(ledger, "now", CampaignTerms(name="now", currency="EUR", ends_at=ends_at), offer)
    return settings


def test_the_best_customer_with_coupons_is_shown(settings: Settings) -> None:
    with opened_ledger(settings) as ledger:
        give(ledger, "now-0", "anna")
        give(ledger, "now-0", "ben")
    shopper = find_shopper(settings, now=NOW)
    assert (shopper.customer_id, shopper.store_id, shopper.has_coupons) == ("anna", "s2", True)


@pytest.mark.parametrize("days", [0, 40])
def test_where_nobody_can_use_a_coupon_the_best_customer_is_shown(settings: Settings, days: int) -> None:
    if days:
        with opened_ledger(settings) as ledger:
            give(ledger, "now-0", "anna")
    shopper = find_shopper(settings, now=NOW + timedelta(days=days))
    assert (shopper.customer_id, shopper.has_coupons) == ("eve", False)


def test_the_basket_holds_what_the_customer_buys_most_and_has_a_coupon_for(settings: Settings) -> None:
    with opened_ledger(settings) as ledger:
        give(ledger, "now-0", "anna")
    bought = couponed_product(settings, "anna")
    assert bought is not None
    assert (bought.product_id, bought.name, bought.price_minor, bought.currency) == ("tea", "Green tea", 310, "EUR")
    basket = basket_of(find_shopper(settings, now=NOW), bought)
    assert basket["lines"] == [{"product_id": "tea", "quantity": 1, "unit_price_minor": 310}]
    assert couponed_product(settings, "ben") is None


def test_without_purchases_the_demo_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="endcap import"):
        find_shopper(Settings.load(data_dir=tmp_path / "empty"), now=NOW)


def test_what_coupons_give_is_shown_in_major_units_and_the_others_by_reason() -> None:
    refused = [{"reason": {"code": "no_effect"}}, {"reason": {"code": "no_effect"}}]
    answer = {
        "currency": "EUR", "basket_minor": 310, "payable_minor": 210, "refused": refused,
        "applied": [{"name": "1 off", "code": "AB-CD", "discount_minor": 100}],
    }  # fmt: skip
    assert qualification_lines(answer, "Green tea") == [
        "At the till with Green tea for 3.10 EUR:",
        "  1 off (code AB-CD) takes off 1.00 EUR",
        "  to pay 2.10 EUR; coupons that give nothing here: 2 no_effect",
    ]
