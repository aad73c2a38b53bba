"""What coupons add to a decision: both kinds against products alone, the same customers in one run.

    python -m benchmarks.speed.coupon_decisions --data-dir var

The Complete Journey's campaigns of the last day of its year (5, with 81 offers) run now, in a ledger of this run alone,
and whoever had their coupons then has them now; with --all-campaigns all 27 run. Their projections take the place of
those in the directory's Redis: `endcap project` brings those back. Server and yardstick share one core and take turns
on it; Valkey and the client have the other.
"""

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

import orjson
import polars as pl
from sqlalchemy import Connection

from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms
from app.settings import ProductSelector, Settings
from app.stores.redis.keys import RedisKeys, worker_client
from app.stores.redis.projections import Projections
from app.stores.sql.campaigns.campaigns import act_on_campaign, create_campaign, create_offer
from app.stores.sql.coupons.audience_issuing import add_audience, issue_to_audience
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.database.schema import upgrade
from benchmarks.full_path import (
    BLOCK,
    LESSER,
    MAX_LESSER_SHARE,
    SERVER_CPU,
    WARM_UP_CALLS,
    quantiles_ms,
    redis_off_the_measured_core,
)
from benchmarks.ranking.coupon_ranking import journey_coupons
from benchmarks.support import machine
from benchmarks.support.questions import full_questions, known_customers
from benchmarks.support.servers import SERVE_EMPTY, SERVE_ENDCAP, Server, post, post_json, python_server
from training.coupons.history import CouponHistory

LAST_DAY = datetime(2017, 12, 31, tzinfo=UTC)
BOTH, PRODUCTS, EMPTY = "both_kinds", "products", "empty"


class Running(NamedTuple):
    """One campaign: its offers with their products, and its audience."""

    campaign_id: str
    offers: Mapping[str, Sequence[str]]
    customer_ids: Sequence[str]

    def start(self, ledger: Ledger, now: datetime) -> None:
        """Runs it from now on with a budget, each coupon worth 1.00, and gives its coupons out."""
        ledger.write(lambda connection: self._create(connection, now))
        issue_to_audience(ledger, self.campaign_id, None, now=now, progress=lambda *_: None)

    def _create(self, connection: Connection, now: datetime) -> None:
        ends_at = now + timedelta(days=30)
        terms = CampaignTerms(name=self.campaign_id, currency="USD", budget_minor=10**8, starts_at=now, ends_at=ends_at)
        create_campaign(connection, self.campaign_id, terms, now=now)
        act_on_campaign(connection, self.campaign_id, "schedule", now=now)
        for offer_id, product_ids in self.offers.items():
            offer = OfferTerms(
                name=f"1.00 off {offer_id}",
                discount=Amount(type="amount", amount_minor=100),
                applies_to=(ProductSelector(product_ids=tuple(product_ids)),),
            )
            create_offer(connection, self.campaign_id, offer_id, offer, now=now)
        add_audience(connection, self.campaign_id, self.customer_ids, now=now)


def running(history: CouponHistory, *, is_every: bool) -> list[Running]:
    """The campaigns of LAST_DAY, or all."""
    given = history.assigned.sort("customer_id")
    if not is_every:
        given = given.filter((pl.col("assigned_at") <= LAST_DAY) & (pl.col("expires_at") > LAST_DAY))
    found = []
    for (campaign_id,), people in given.group_by("campaign_id", maintain_order=True):
        theirs = history.offers.filter(pl.col("campaign_id") == campaign_id).sort("offer_id", "product_id")
        offers = theirs.group_by("offer_id", maintain_order=True).agg("product_id").rows()
        found.append(Running(str(campaign_id), dict(offers), people["customer_id"].to_list()))
    return found


def questions(bodies: Sequence[bytes]) -> dict[str, list[bytes]]:
    """The same questions for products alone, and for both kinds."""
    both = [orjson.dumps(orjson.loads(body) | {"kinds": ["product", "coupon"]}) for body in bodies]
    return {PRODUCTS: list(bodies), BOTH: both, EMPTY: list(bodies)}


def measure(servers: Mapping[str, Server], bodies: Mapping[str, Sequence[bytes]]) -> dict[str, object]:
    """Alternating blocks of all kinds of question, so that a slow spell of the machine hits every one."""
    taken_s: dict[str, list[float]] = {name: [] for name in servers}
    cpu_s = dict.fromkeys(servers, 0.0)
    connections: dict[str, HTTPConnection] = {name: server.connection() for name, server in servers.items()}
    lesser = coupons = 0
    count = len(bodies[PRODUCTS])
    for start in range(-WARM_UP_CALLS, count, BLOCK):
        for name, connection in connections.items():
            before_s = servers[name].cpu_s()
            for body in bodies[name][max(start, 0) : max(start, 0) + BLOCK]:
                started = perf_counter()
                status, answer = post(connection, "/v1/decisions", body)
                if start >= 0:
                    taken_s[name].append(perf_counter() - started)
                    if name == BOTH:
                        coupons += answer.count(b'"kind":"coupon"')
                assert status == 200, (status, answer)
                lesser += any(flag in answer for flag in (*LESSER, b'"coupons_unknown"'))
            if start >= 0:
                cpu_s[name] += servers[name].cpu_s() - before_s
    if lesser > MAX_LESSER_SHARE * count:
        raise SystemExit(f"{lesser} answers did not come from the full path: that would flatter it")
    median = {name: statistics.median(taken) for name, taken in taken_s.items()}
    return {
        "calls_each": count,
        "coupons_per_answer": round(coupons / count, 2),
        "both_to_products": round(median[BOTH] / median[PRODUCTS], 3),
        "both_to_products_cpu": round(cpu_s[BOTH] / cpu_s[PRODUCTS], 3),
        "to_empty": {name: round(median[name] / median[EMPTY], 2) for name in (PRODUCTS, BOTH)},
        "latency_ms": {name: quantiles_ms(taken) for name, taken in taken_s.items()},
        "cpu_ms_per_call": {name: round(1000 * used / count, 3) for name, used in cpu_s.items()},
    }


@contextmanager
def redis_with_coupons(settings: Settings, campaigns: Sequence[Running]) -> Iterator[str]:
    """The URL of a Redis off the measured core that has the wallets of these campaigns, which start in a new ledger."""
    with closing(open_ledger(settings.ledger_url)) as ledger, redis_off_the_measured_core(settings) as redis_url:
        upgrade(ledger)
        for campaign in campaigns:
            campaign.start(ledger, datetime.now(UTC))
        keys = RedisKeys(settings.stream_partition_count)
        with closing(Projections(ledger, worker_client(redis_url), keys)) as projections:
            projections.rebuild()
            yield redis_url


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--all-campaigns", action="store_true")
    given = parser.parse_args()
    campaigns = running(journey_coupons(), is_every=given.all_campaigns)
    coupon_count: dict[str, int] = {}
    for campaign in campaigns:
        for customer_id in campaign.customer_ids:
            coupon_count[customer_id] = coupon_count.get(customer_id, 0) + len(campaign.offers)
    with TemporaryDirectory(prefix="endcap-ledger-") as folder, ExitStack() as stack:
        settings = Settings.load(data_dir=given.data_dir, database_url=f"sqlite:///{folder}/ledger.db")
        customers = [known for known in known_customers(settings) if known.customer_id in coupon_count]
        redis_url = stack.enter_context(redis_with_coupons(settings, campaigns))
        environment = {
            "ENDCAP_REDIS_URL": redis_url,
            "ENDCAP_DATA_DIR": str(given.data_dir),
            "ENDCAP_DATABASE_URL": settings.ledger_url,
            # A busy machine may be late; the median tells the cost all the same.
            "ENDCAP_FEATURE_TIMEOUT_MS": "5000",
        }
        endcap = stack.enter_context(python_server(SERVE_ENDCAP, environment, cpu=SERVER_CPU))
        start_bytes = endcap.resident_bytes()
        bodies = questions(full_questions(customers, given.calls))
        _, answer = post_json(endcap.connection(), "/v1/decisions", orjson.loads(bodies[PRODUCTS][0]))
        yardstick = {"EMPTY_BODY": orjson.dumps(answer).decode(), "EMPTY_AS_BYTES": "0"}
        empty = stack.enter_context(python_server(SERVE_EMPTY, yardstick, cpu=SERVER_CPU))
        servers = {PRODUCTS: endcap, BOTH: endcap, EMPTY: empty}
        found = measure(servers, bodies)
        end_bytes = endcap.resident_bytes()
    machine.show(
        {
            "benchmark": "coupon_decisions",
            **machine.facts(),
            "campaigns": len(campaigns),
            "offers": sum(len(campaign.offers) for campaign in campaigns),
            "customers": len(customers),
            "coupons_per_wallet": statistics.quantiles(coupon_count.values(), n=4),
            **found,
            "resident_mib": {"start": round(start_bytes / 2**20), "end": round(end_bytes / 2**20)},
        }
    )


if __name__ == "__main__":
    main()
