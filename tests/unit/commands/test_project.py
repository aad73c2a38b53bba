"""`endcap project`: wallets and budgets in Redis again from the ledger, by one command."""

import json
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

from app.cli import cli
from app.composition.stores import opened_ledger
from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms
from app.settings import Settings
from app.stores.redis.keys import REMAINING, RedisKeys
from app.stores.redis.wallets import unpack_wallet
from tests.support.tills import give, run_campaign

FIVE = OfferTerms(name="five off", discount=Amount(type="amount", amount_minor=500))


def test_command_writes_what_a_flush_took(tmp_path: Path, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDCAP_REDIS_URL", valkey)
    settings = Settings.load(data_dir=tmp_path)
    with opened_ledger(settings) as ledger:
        run_campaign(ledger, "k", CampaignTerms(name="k", currency="EUR", budget_minor=1200), FIVE)
        coupons = {who: give(ledger, "k-0", who) for who in ("ann", "bob")}
    result = CliRunner().invoke(cli, ["project", "--json", "--data-dir", str(tmp_path)])
    assert result.exception is None, result.exception
    assert json.loads(result.stdout) == {"wallets": 2}
    with redis.Redis.from_url(valkey) as client:
        hashed: Any = client.hgetall(REMAINING)
        remaining = [part for pair in hashed.items() for part in pair]
        for who, coupon in coupons.items():
            wallet = unpack_wallet(client.get(RedisKeys(settings.stream_partition_count).wallet(who)), remaining)
            assert wallet is not None
            assert [one.coupon_id for one in wallet.coupons] == [coupon.coupon_id]
            assert wallet.remaining_minor == {"k": 1200}
