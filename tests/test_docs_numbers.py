"""Every number on a page that the code decides, compared with the code: change both together."""

import inspect
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from app import room
from app.api import limits
from app.api.campaigns import generation, simulation
from app.api.catalogue import wire as catalogue
from app.api.decisions.replenishment_wire import ReplenishmentRequest
from app.api.decisions.wire import MAX_SIZE
from app.api.edge import boundary, connections
from app.api.idempotency import MAX_KEY_LENGTH
from app.api.pages import tokens
from app.api.places.wire import StockReservationRequest
from app.api.till.wire import MAX_TTL_S, ReservationRequest
from app.bounds import CLOCK_SKEW, ID_LENGTH, QUANTITY_MAX
from app.commands import models
from app.composition.places import SNAPSHOT_AFTER
from app.decision import shadow
from app.decision.candidates import sources
from app.decision.candidates.gather import SOURCES
from app.decision.coupons import candidates as coupons
from app.decision.customer import context, foldin
from app.decision.ranking import features as columns
from app.decision.ranking import scoring
from app.decision.replenishment import answer as replenishment
from app.decision.replenishment import hazards, interval
from app.decision.slate import diversity, mixed
from app.decision.slate import new_products as new_places
from app.imports.feed import changes, refresh
from app.imports.journal.records import REPEATED_WITHIN
from app.imports.places.prices import OLDEST
from app.imports.reading import lines
from app.imports.report import REASONS
from app.main import PLACES_REFRESH_S
from app.model import content as model_content
from app.model.goods import age_restricted
from app.model.search.index import HEAD_COUNT
from app.offers.planning.generation import Guardrails
from app.offers.rules.combination import MAX_COMBINED
from app.offers.terms import codes, conditions
from app.places import feasible, hours, live, promises, reports, views
from app.places import tables as places_tables
from app.places.prices import ReferenceRules
from app.processes import child, server
from app.settings import Placement, Settings
from app.stores.feast import push
from app.stores.jobs import folder as jobs
from app.stores.redis.breaker import Breaker
from app.stores.sql.access import keys, publishable
from app.stores.sql.coupons import issuing
from app.stores.sql.database.chunks import CHUNK_ROWS
from app.stores.sql.places.reconciliation import LISTED
from app.stores.sql.redemption import idempotency
from app.stores.tables import cells
from app.worker import consume
from tests.test_docs import DOCS
from training.data import non_goods, shop, split
from training.features import materialize, tables
from training.learners import content, linear, plain_als, statistics, transitions
from training.learners import replenishment as hazard_training
from training.learners.factors import AlsSettings
from training.metrics import calibration, exposure, ranking
from training.metrics import rule_comparison as rules
from training.queries import evaluation_queries
from training.ranking import blend, leaks
from training.release import gate, parity, publish, replay
from training.simple_rules import MAX_QUERIES
from training.warm_start import WARM_ITERATIONS


def field_default(model: type[BaseModel], name: str) -> Any:
    """The default of a field of a model."""
    return model.model_fields[name].default


def argument_default(function: Callable[..., Any], name: str) -> Any:
    """The default of a parameter."""
    return inspect.signature(function).parameters[name].default


def setting(name: str) -> Any:
    """The default of a setting."""
    return field_default(Settings, name)


def in_words(number: int) -> str:
    """A small number as prose has it."""
    words = "zero one two three four five six seven eight nine ten eleven twelve"
    return words.split(" ")[number]


DAY = timedelta(days=1)
DAY_S = 86_400
HOUR = timedelta(hours=1)
STATEMENTS: dict[str, list[str]] = {
    "access.md": [
        f"and {8 * keys.KEY_BYTES} random bits",
        f"and {limits.BURST_S} N at once",
        f"has {5 * codes.CODE_LENGTH} random bits",
        f"{setting('guesses_per_customer_per_minute')} failed codes within {limits.WINDOW_S:.0f} s for one customer",
        f"or {setting('guesses_per_client_per_minute')} for a client",
        f"valid for {setting('keys_hold_s') // 3600} hours",
        f"A client may have {in_words(len(keys.SLOTS))} live keys",
        f"at most {connections.MAX_HEAD_BYTES:,} bytes of request line and headers",
        f"{connections.MAX_HEADER_COUNT} headers, {connections.HEAD_S:.0f} s for these",
        f"and {connections.BODY_S:.0f} s for a body",
        f"may have {boundary.MAX_BODY_BYTES:,} bytes however",
        f"cut off after {connections.MAX_UNREAD_BYTES:,} bytes",
        f"| rate | {publishable.PER_SECOND} requests per second for each person",
        f"RSA, {publishable.RSA_BITS:,} bits or more",
        f"{tokens.MAX_LIFETIME_S:,} s at most; clocks may be {tokens.LEEWAY_S} s off",
        f"A token has {tokens.MAX_TOKEN_BYTES:,} bytes at most",
    ],
    "architecture.md": [f"{in_words(len(SOURCES))} sources"],
    "campaign-planning.md": [
        f"| `days` | {simulation.DEFAULT_DAYS} | the last days of the history, {simulation.MAX_DAYS} at most |",
        f"| `basket_count` | {simulation.MAX_BASKETS:,} |",
        f"(default {generation.DEFAULT_COUNT})",
        f"At most {generation.MAX_GENERATED:,} offers at once",
        f"(default {field_default(Guardrails, 'max_percent'):.0f})",
    ],
    "coupon-ranking.md": [
        f"(`dismiss_promotion`) in {coupons.DISMISS_DAYS} days",
        f"(`view_promotion`) {in_words(coupons.VIEW_CAP)} times in {coupons.VIEW_DAYS}",
        f"names up to {in_words(mixed.APPLIES_TO_COUNT)}, best first",
        f"it is {coupons.PRIOR_CHANCE} for all",
        f"`coupon_places` ({field_default(Placement, 'coupon_places')})",
        f"`max_coupons` ({field_default(Placement, 'max_coupons')})",
        f"within {consume.SWEEP_EVERY_S:.0f} s from a queue",
    ],
    "coupon-rules.md": [
        f"Trees are {conditions.MAX_DEPTH} levels deep",
        f"up to {MAX_COMBINED} combinable coupons",
    ],
    "coupons.md": [
        f"within {idempotency.KEEP // HOUR} hours",
        f"{field_default(ReservationRequest, 'ttl_s') // 60} minutes without `ttl_s`",
        f"`ttl_s` 1 to {MAX_TTL_S:,}",
    ],
    "decisions/0002-no-customers-in-bundles.md": [f"the {foldin.MAX_ITEM_COUNT} strongest purchases"],
    "decisions/0021-the-table-is-the-stream.md": [
        f"some {1000 * PLACES_REFRESH_S:.0f} ms after it was accepted",
        f"written after {SNAPSHOT_AFTER:,} changes",
        f"of 66,000 products {views.MASK_BYTES // 66_000 // 50 * 50} are kept",
    ],
    "decisions/0004-redis-on-the-request-path.md": [
        f"After {in_words(argument_default(Breaker, 'trip_count'))} failures in a row",
    ],
    "decisions/0007-exact-search-longest-first.md": [
        f"the first {HEAD_COUNT:,} rows, through an id selector that carries the filter"
    ],
    "decisions/0009-trees-correct-the-blend.md": [
        f"a linear blend of at most {in_words(len(columns.COLUMNS))} columns",
        f"on its {scoring.RANKED_COUNT} best candidates",
    ],
    "degradation.md": [
        f"features after {setting('feature_timeout_ms')} ms",
        f"rejected after {setting('ingest_timeout_ms')} ms",
        f"after {argument_default(Breaker, 'trip_count')} failures in a row",
        f"tried once in {argument_default(Breaker, 'open_s')} s",
    ],
    "errors.md": [
        f"more than {boundary.MAX_BODY_BYTES:,} bytes",
        f"1 to {MAX_KEY_LENGTH} visible ASCII characters",
        f"within {idempotency.KEEP // HOUR} hours",
        f"more than {CLOCK_SKEW // timedelta(minutes=1)} minutes ahead",
    ],
    "evaluation.md": [
        f"{shop.STAPLES_SHARE:.0%} and more had".replace("%", " %"),
        f"{shop.CATALOGUE_SHARE:.0%} and more – staples".replace("%", " %"),
        f"({split.MAX_WINDOW_DAYS} days, or a tenth",
        f"fewer than {split.MIN_CUSTOMERS} customers in every window",
        f"at most {evaluation_queries.MAX_CUSTOMERS:,} customers",
        "k = {}, {}, {}".format(*evaluation_queries.CUTOFFS),
        f"{ranking.RESAMPLES:,} times as many customers",
        f"{calibration.BIN_COUNT} bins of equal width",
        f"in {in_words(exposure.GROUP_COUNT)} groups",
        f"2^(−age of the last purchase / {statistics.POPULARITY_HALF_LIFE_DAYS} days)",
    ],
    "features.md": [
        f"at most {tables.MAX_BOUGHT_COUNT:,}.",
        f"newest {materialize.MAX_SNAPSHOT_COUNT} snapshots",
        f"{1000 * push.CONNECT_TIMEOUT_S:.0f} ms for a connection, {push.ANSWER_TIMEOUT_S:.0f} s for an answer",
    ],
    "for-apps.md": [f"not shown again for {coupons.DISMISS_DAYS} days"],
    "for-front-ends.md": [f"how many, 1 to {MAX_SIZE}"],
    "for-tills.md": [f"for {field_default(ReservationRequest, 'ttl_s') // 60} minutes"],
    "import.md": [
        f"an age of {age_restricted.ADULT_FROM} or more are shown only",
        f"the first {changes.SHOWN_COUNT:,} of each",
        f"The last {refresh.REPORTS_KEPT} are kept; the log",
        f"`ENDCAP_IMPORT_MAX_BYTES` ({setting('import_max_bytes'):,})",
        f"The last {jobs.KEPT_COUNT} are kept",
        f"{jobs.MAX_WAITING_COUNT} may be under way or wait",
        f"each of the {catalogue.MAX_ROWS:,} rows at most",
        f"all text, {catalogue.MAX_ATTRIBUTES} a product; the table has {cells.MAX_COLUMNS} columns at most",
        f"503 with `Retry-After` where {cells.MAX_WAITING_CALLS} wait",
        f"at most {ID_LENGTH} characters",
        f"at most {QUANTITY_MAX:,.0f} |",
        f"more than {CLOCK_SKEW // timedelta(minutes=1)} minutes ahead",
        f"at most {lines.QUOTED_LINES_MAX} lines",
        f"as new for {model_content.NEW_FOR // DAY} days",
        f"at most {reports.HORIZON // DAY} days ago; the time of the import",
        f"first {LISTED} that differ, of which {REASONS} are shown",
        f"more than {REPEATED_WITHIN // HOUR} hours later",
        f"for more than {OLDEST // HOUR} hours is reported as of {OLDEST // HOUR} hours before",
    ],
    "issuing.md": [
        f"{codes.CODE_LENGTH} characters, {5 * codes.CODE_LENGTH} random bits, out of `{codes.ALPHABET}`",
        f"{CHUNK_ROWS:,} a transaction",
        f"within {issuing.KEEP_PENDING // DAY} days",
    ],
    "operations.md": [
        f"{live.STALE_AFTER_S:.0f} answers are [`stock_stale`]",
        f"within {consume.SWEEP_EVERY_S:.0f} s while a worker runs",
        f"at {room.RESERVE_BYTES / room.MB:.0f} MB left",
        f"after up to {child.LAST_WAIT_S:.0f} s",
        f"after {server.KEEP_ALIVE_S + 1} s at most",
    ],
    "places.md": [
        f"those within {feasible.NEARBY_KM:.0f} km, nearest first",
        f"({feasible.NEARBY_KM:.0f} km where it states none)",
        f"by {promises.EVENING:%H:%M} of the working day",
        f"does not open within {hours.HORIZON_DAYS} days",
        f"what is left there, up to {places_tables.FEW_MILLI // 1000};",
        f"After `ttl_minutes` ({field_default(StockReservationRequest, 'ttl_minutes')}) they are free",
        f"in answers within {consume.SWEEP_EVERY_S:.0f} s while a worker runs",
        f"older than {in_words(reports.HORIZON // DAY)} days is refused",
        f"the lowest price of the {ReferenceRules().days} days before",
        f"some {1000 * PLACES_REFRESH_S:.0f} ms later",
        f"more than {'a' if live.STALE_AFTER_S == 1 else live.STALE_AFTER_S} second, answers are",
    ],
    "ranking.md": [
        f"the strongest {foldin.MAX_ITEM_COUNT} purchases",
        f"| {sources.SIMILAR_COUNT}, or {sources.SIMILAR_PER_PLACE} × the slate |",
        f"(112 days) | {sources.BUY_AGAIN_COUNT} |",
        f"where the blend needs them | {sources.LINEAR_COUNT} |",
        f"| {statistics.NEIGHBOUR_COUNT} for each of {context.ANCHOR_ITEMS} |",
        f"| {transitions.NEXT_COUNT} for each of {context.ANCHOR_ITEMS} |",
        f"| the products viewed last | {context.ANCHOR_ITEMS} |",
        f"else everywhere | {sources.TRENDING_COUNT} |",
        f"(half-life {statistics.TRENDING_HALF_LIFE_DAYS} days)",
        f"w / (w + {columns.HALF_WEIGHT:.0f})",
        f"n / (n + {columns.HALF_COUNT:.0f})",
        f"{columns.PLACE_DECAY}^place",
        f"Then the {scoring.RANKED_COUNT} best",
        f"the {blend.SHOWN_COUNT} best candidates of every query",
        f"from {in_words(interval.MIN_COUNT)} baskets on",
        f"the one at {diversity.SPREAD} × the slate's size",
        f"EASE over the {linear.EASE_ITEMS:,} most bought products",
        f"neighbours over up to {max(linear.NEIGHBOUR_ITEMS):,}",
        f"AUC over {leaks.TOO_GOOD_AUC}".replace("0.", "."),
        f"y / |y|^{content.LENGTH_POWER}",
        f"{in_words(content.PRICE_BAND_COUNT)} price bands",
        f"hashed to {content.TOKEN_COUNT:,}",
        f"λ = {content.RIDGE:.0f}",
        f"In a slate of {in_words(new_places.MIN_SLATE)} or more",
        f"new for {model_content.NEW_FOR // DAY} days",
    ],
    "releases.md": [
        f"at most {replay.MAX_CUSTOMERS:,} customers",
        f"resampled {ranking.RESAMPLES:,} times",
        f"worse by more than {gate.NDCG_TOLERANCE}",
        f"fewer than {gate.MIN_CUSTOMERS} customers to query",
        f"a customer of {parity.SAMPLE_COUNT:,}",
        f"at most {MAX_QUERIES:,}, and may show the same products",
        f"with {plain_als.FACTORS} factors and alpha 1",
        f"at least {rules.MIN_HITS} queries had a hit",
        f"--share {models.DEFAULT_SHARE_PERCENT:.0f} ",
        f"--per-second {models.DEFAULT_PER_SECOND:.0f}",
        f"for {100 * shadow.BUSY_RATIO:.0f} % of the time at most",
        f"keeps the newest {in_words(publish.KEPT_VERSION_COUNT)}",
    ],
    "replenishment.md": [
        f"| `horizon_days` | {field_default(ReplenishmentRequest, 'horizon_days')} |",
        f"1 to {replenishment.MAX_HORIZON_DAYS};",
        f"| `limit` | {field_default(ReplenishmentRequest, 'limit')} |",
        f"cut at {hazards.MAX_DEVIATION:.0f} deviations",
        f"as of {in_words(hazard_training.CUT_COUNT)} cut-offs",
        f"and {hazard_training.CUT_STEP_DAYS} days apart",
        f"at most {hazard_training.MAX_ROWS:,}",
        f"fewer than {hazard_training.MIN_EVENTS} purchases",
        f"({hazard_training.GAP_PRIOR} gaps, {hazard_training.SALES_PRIOR} sales)",
    ],
    "settings.md": [
        f"| `size` | {field_default(Placement, 'size')} | 1 to {MAX_SIZE},",
        f"| `new_products` | {field_default(Placement, 'new_products')} |",
        f"| `coupon_places` | {field_default(Placement, 'coupon_places')} |",
        f"| `max_coupons` | {field_default(Placement, 'max_coupons')} |",
        f"older than this ({setting('features_stale_after_s') // DAY_S} days)",
        f"How long ({setting('event_seen_keep_s') // DAY_S} days) a repeated",
        f"How long ({setting('live_keep_s') // DAY_S} days) after",
        f"How long ({setting('receipt_keep_s') // DAY_S} days) the lines",
    ],
    "training.md": [
        f"and {WARM_ITERATIONS} rounds follow instead of {AlsSettings().iterations}",
        f"fewer than {rules.NEEDED_HITS} of these queries have a hit",
        f"from {rules.MIN_HITS} queries with a hit on",
        f"of {MAX_QUERIES:,} queries have a hit, all are taken",
        f"missing where {non_goods.GROUPED_RATIO:.0%} of".replace("%", " %"),
        f"its pieces cost {non_goods.PRICE_RATIO} times as much",
        f"or {100 * non_goods.FREE_RATIO:.0f} % of its lines are free",
        f"in {100 * non_goods.BASKET_RATIO:.0f} % of all baskets, one piece in {100 * non_goods.ONE_RATIO:.0f} % of",
    ],
    "../SECURITY.md": [
        f"{8 * keys.KEY_BYTES} random bits, kept as SHA-256",
        f"{5 * codes.CODE_LENGTH} random bits; [failed",
        f"{boundary.MAX_BODY_BYTES:,} bytes at most",
    ],
}
"""What each page says, with the code's numbers in it."""


@pytest.mark.parametrize("page", STATEMENTS)
def test_page_states_the_numbers_of_the_code(page: str) -> None:
    said = re.sub(r"\s+", " ", (DOCS / page).read_text())
    assert not [text for text in STATEMENTS[page] if text not in said]
