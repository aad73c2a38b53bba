"""Guessed codes over HTTP: none is found, few may be tried, and nothing is revealed of what exists."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain import Scope
from app.offers.terms.codes import ALPHABET, new_code
from app.offers.terms.records import Coupon
from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms
from app.settings import Settings
from app.stores.redis.server.embedded import free_port
from app.stores.sql.access.keys import create_key
from app.stores.sql.database.engine import open_ledger
from tests.support.server import serving
from tests.support.tills import give, run_campaign

OFFER = OfferTerms(name="Five off", discount=Amount(type="amount", amount_minor=500))
LINES = [{"line_id": "1", "product_id": "p1", "quantity": 1, "amount_minor": 2000}]
CODES_EACH = 20
UNLIMITED = 10**9


@dataclass(frozen=True, slots=True)
class Till:
    """A client with the scope redeem and one with staff too, and coupons of ada's that are good today."""

    client: httpx.Client
    staff: dict[str, str]
    coupons: list[Coupon]

    def validate(self, codes: list[str], *, customer_id: str | None = None, **others: Any) -> httpx.Response:
        """What these codes give that customer."""
        body = {"codes": codes, "lines": LINES} | ({} if customer_id is None else {"customer_id": customer_id})
        return self.client.post("/v1/validations", json=body, **others)


@pytest.fixture
def till(request: pytest.FixtureRequest, tmp_path: Path, valkey: str) -> Iterator[Till]:
    """The service with 50 open coupons; the parameter names settings to change."""
    settings = Settings.load(data_dir=tmp_path, **getattr(request, "param", {}))
    with serving(settings, valkey) as client:
        ledger = open_ledger(settings.ledger_url)
        run_campaign(ledger, "spring", CampaignTerms(name="Spring", currency="EUR"), OFFER)
        coupons = [give(ledger, "spring-0", "ada") for _ in range(50)]
        now = datetime.now(UTC)
        _, plain = create_key(ledger, "till-12", [Scope.REDEEM], per_second=None, now=now)
        _, staff = create_key(ledger, "counter", [Scope.REDEEM, Scope.STAFF], per_second=None, now=now)
        ledger.close()
        client.headers["Authorization"] = f"Bearer {plain}"
        yield Till(client, {"Authorization": f"Bearer {staff}"}, coupons)


def reasons(answer: httpx.Response) -> list[str]:
    """Why each code was refused."""
    assert answer.status_code == 200, answer.text
    return [refused["reason"]["code"] for refused in answer.json()["refused"]]


def guesses(coupons: list[Coupon], count: int) -> Iterator[str]:
    """Random codes, and codes one sign away from good ones, which are the likeliest to be right by mistake."""
    randomly = random.Random(7)
    good = {coupon.code for coupon in coupons}
    while count:
        code = new_code()
        if count % 2:
            near, position = randomly.choice(coupons).code, randomly.randrange(16)
            code = near[:position] + randomly.choice(ALPHABET) + near[position + 1 :]
        if code not in good:
            count -= 1
            yield code


@pytest.mark.parametrize(
    "till",
    [{"guesses_per_customer_per_minute": UNLIMITED, "guesses_per_client_per_minute": UNLIMITED}],
    indirect=True,
)
def test_ten_thousand_guessed_codes_find_none(till: Till) -> None:
    codes = list(guesses(till.coupons, 10_000))
    seen = set()
    for start in range(0, len(codes), CODES_EACH):
        answer = till.validate(codes[start : start + CODES_EACH], customer_id="ada")
        assert answer.json()["applied"] == []
        seen |= set(reasons(answer))
    assert seen == {"coupon_not_found"}
    found = till.validate([till.coupons[0].code], customer_id="ada")
    assert [applied["coupon_id"] for applied in found.json()["applied"]] == [till.coupons[0].coupon_id]


def test_guesses_in_a_row_are_looked_up_ten_times(till: Till) -> None:
    looked_up, refused = 0, 0
    for code in guesses(till.coupons, 500):
        answer = till.validate([code])
        if answer.status_code == 429:
            refused += 1
            assert answer.json()["code"] == "too_many_guesses"
            assert 1 <= int(answer.headers["retry-after"]) <= 60
        else:
            assert reasons(answer) == ["coupon_not_found"]
            looked_up += 1
    assert (looked_up, refused) == (10, 490)
    right = till.validate([till.coupons[0].code])
    assert right.status_code == 429, "a right code looks as wrong ones do"
    assert till.validate([till.coupons[0].code], customer_id="ada").status_code == 200
    assert 'endcap_refusals_total{code="too_many_guesses"} 491.0' in till.client.get("/metrics").text


def test_other_names_do_not_help_beyond_what_a_client_may_fail(till: Till) -> None:
    statuses = [
        till.validate([code], customer_id=f"customer-{number}").status_code
        for number, code in enumerate(guesses(till.coupons, 320))
    ]
    assert statuses == [200] * 300 + [429] * 20
    assert till.validate(["nothing"], headers=till.staff).status_code == 200


def test_somebody_else_s_code_looks_like_none_and_counts_as_a_guess(till: Till) -> None:
    answers = [till.validate([coupon.code], customer_id="bob") for coupon in till.coupons[:11]]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    unknown = till.validate([new_code()], customer_id="eve")
    other = till.validate([till.coupons[0].code], customer_id="eve")
    seen = [answer.json()["refused"][0]["reason"] for answer in (unknown, other)]
    assert seen[0] == seen[1]
    assert seen[0]["code"] == "coupon_not_found"
    at_the_counter = till.validate([till.coupons[0].code], customer_id="eve", headers=till.staff)
    assert reasons(at_the_counter) == ["recipient_mismatch"]


def test_limit_holds_while_redis_is_gone(tmp_path: Path, valkey: str) -> None:
    settings = Settings.load(data_dir=tmp_path)
    with serving(settings, f"redis://127.0.0.1:{free_port()}/0") as client:
        body = {"codes": ["nothing"], "lines": LINES}
        statuses = [client.post("/v1/validations", json=body).status_code for _ in range(12)]
    assert statuses == [200] * 10 + [429] * 2


def test_more_right_codes_than_may_fail_are_taken_and_wrong_ones_spoil_a_redemption(till: Till) -> None:
    right = [coupon.code for coupon in till.coupons[:15]]
    assert reasons(till.validate(right, customer_id="ada")).count("coupon_not_found") == 0
    body = {
        "order_id": "1",
        "customer_id": "ada",
        "lines": LINES,
        "codes": [right[0], *(new_code() for _ in range(11))],
    }
    headers = {"Idempotency-Key": "mixed"}
    refused = [till.client.post("/v1/redemptions", json=body, headers=headers) for _ in range(2)]
    assert [answer.json()["code"] for answer in refused] == ["too_many_guesses"] * 2
    assert reasons(till.validate([right[0]], customer_id="ada", headers=till.staff)) == []
