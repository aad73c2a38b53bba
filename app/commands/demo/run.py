"""`endcap demo`: from nothing to one decision on a grocer's year and its coupons, then serving on."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from time import monotonic, sleep
from uuid import uuid4

from app.commands import supervisor
from app.commands.demo.client import DECISIONS, Client, DemoFailure
from app.commands.demo.coupons import (
    Shopper,
    basket_of,
    couponed_product,
    find_shopper,
    qualification_lines,
)
from app.commands.demo.customers import customer_steps, erase_somebody
from app.commands.demo.places import put_simulated_places, with_present_stock
from app.commands.demo.sold_out import instant_text, put_aside, sell_out
from app.commands.demo.tills import CHANGES_PER_S, first_sale, run_tills
from app.commands.figures import training_outcome
from app.commands.imports.demonstration import import_parts
from app.commands.terminal import notify, progress_bar, show_text
from app.commands.text_table import TextTable
from app.composition.stores import opened_ledger
from app.domain import Degraded, JsonObject
from app.errors import StoreUnavailable
from app.imports.run import Sources, run_imports
from app.offers.terms.money import format_amount
from app.places.simulation.places import SimulatedPlaces
from app.settings import Settings
from app.stores.redis.server.embedded import free_port, redis_for

READY_TIMEOUT_S = 60.0
WALLETS_TIMEOUT_S = 20.0
"""So long the worker may take to project every wallet into Redis; after that the demo shows what there is."""


def run_demo(settings: Settings, *, check: bool, budget_s: float) -> None:
    """Imports, trains where needed, serves, prints one decision; returns then if `check`, else serves until Ctrl-C."""
    # Between the results only warnings are logged.
    settings = settings.model_copy(update={"log_level": "WARNING"} | ({"port": free_port()} if check else {}))
    supervisor.check_bind(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    places = _prepare(settings, budget_s=budget_s)
    stop = supervisor.Stop()
    if not check:
        supervisor.stop_on_signals(stop)
    failure: list[BaseException] = []

    def show_then_maybe_stop(_: str) -> None:
        # In a thread, because the supervisor watches over its children only once this returns.
        threading.Thread(target=_show, args=(settings, places, stop, check, failure), daemon=True).start()

    supervisor.run(settings, on_started=show_then_maybe_stop, until=stop)
    if failure:
        raise failure[0]


def _prepare(settings: Settings, *, budget_s: float) -> SimulatedPlaces:
    """Import, simulated places and training; what an earlier run has done is not repeated, which takes seconds."""
    from training.run import is_up_to_date, train

    with progress_bar() as progress:
        sources = Sources(known="complete-journey")
        reports = run_imports(settings, sources, shift_to_now=True, now=datetime.now(UTC), progress=progress)
    for report in reports:
        notify(f"{report.table}: {report.rows_added:,} new of {report.rows_read:,} rows ({report.seconds:.1f} s)")
    has_news = any(report.rows_added for report in reports)
    places = _simulate_places(settings)
    if is_up_to_date(settings) and not has_news:
        notify("The live bundle was trained on exactly this history: no training.")
        return places
    with redis_for(settings) as redis_url, progress_bar() as progress:
        trained = train(settings, redis_url, budget_s=budget_s, seed=0, publish=True, progress=progress)
    show_text(*training_outcome(trained))
    return places


def _simulate_places(settings: Settings) -> SimulatedPlaces:
    begun = monotonic()
    with progress_bar() as progress:
        places, count = put_simulated_places(settings, now=datetime.now(UTC), progress=progress)
    cells, prices = len(places.stock.level), int((places.price_minor > 0).sum())
    notify(
        f"SIMULATED places, none of it was ever true: {len(places.stores)} stores with {cells:,} products in stock and "
        f"{prices:,} prices of their own, {count} stores new ({monotonic() - begun:.1f} s)"
    )
    return places


def _show(
    settings: Settings, places: SimulatedPlaces, stop: supervisor.Stop, check: bool, failure: list[BaseException]
) -> None:
    try:
        client = Client(f"http://{settings.host}:{settings.port}", settings.api_key)
        _wait_until_ready(client.base)
        shopper = find_shopper(settings, now=datetime.now(UTC))
        body = _question(shopper)
        _print_decision(client.base, body, _decision(client, body))
        if shopper.has_coupons:
            _show_coupons(settings, client, shopper)
        for step in customer_steps(client, body):
            show_text(step)
        for step in erase_somebody(client):
            show_text(step)
        _show_places(settings, client, shopper, places, stop)
        show_text(*import_parts(settings, now=datetime.now(UTC)))
        if not check:
            notify(f"Serving on {client.base} (API at {client.base}/docs); Ctrl-C ends it.")
    # Handed on to run_demo(), because an error in a thread would end nothing but the thread.
    except (OSError, DemoFailure) as error:
        failure.append(StoreUnavailable(f"the demo's service did not answer as it should: {error}"))
    except Exception as error:  # noqa: BLE001 - the border of the thread: whatever it is ends the demo, and is shown
        failure.append(error)
    if check or failure:
        stop.set()


def _wait_until_ready(base: str) -> None:
    deadline = monotonic() + READY_TIMEOUT_S
    detail = "no answer"
    while monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{base}/readyz", timeout=2):
                return
        # An HTTPError is an OSError too, but it comes from a service that is up and says why it is not ready.
        except urllib.error.HTTPError as error:
            detail = error.read().decode()
        except OSError as error:
            detail = str(error)
        sleep(0.1)
    raise DemoFailure(f"not ready after {READY_TIMEOUT_S:.0f} s: {detail}")


def _question(shopper: Shopper) -> dict[str, object]:
    """What to show to the customer in the store where they buy most."""
    context = {"channel": "app", "store_id": shopper.store_id}
    kinds = ["product", "coupon"]
    return {
        "customer_id": shopper.customer_id, "placement": "app_home", "size": 10, "kinds": kinds, "context": context
    }  # fmt: skip


def _decision(client: Client, body: Mapping[str, object]) -> JsonObject:
    """The answer once the wallets are in Redis, where the worker writes them after the start."""
    deadline = monotonic() + WALLETS_TIMEOUT_S
    while Degraded.COUPONS_UNKNOWN in (answer := client.post(DECISIONS, body))["degraded"] and monotonic() < deadline:
        sleep(0.1)
    return answer


def _show_coupons(settings: Settings, client: Client, shopper: Shopper) -> None:
    bought = couponed_product(settings, shopper.customer_id)
    if bought is None:
        return
    answer = client.post("/v1/qualifications", basket_of(shopper, bought))
    show_text(*qualification_lines(answer, bought.name))


def _show_places(
    settings: Settings, client: Client, shopper: Shopper, places: SimulatedPlaces, stop: supervisor.Stop
) -> None:
    """One product sells out, another is put aside; then tills and trucks go on until the end."""
    store_id = shopper.store_id or places.stores[0].store_id
    sold = sell_out(client, _question_in(store_id, shopper, "in_store"), store_id)
    show_text(*sold.lines())
    pickup = put_aside(client, _question_in(store_id, shopper, "pickup"), but_not=sold.product_id)
    show_text(*pickup.lines())
    with opened_ledger(settings) as ledger:
        present = with_present_stock(places, ledger)
    changes = present.changes(begins_at=datetime.now(UTC), sales_per_s=CHANGES_PER_S)
    source = f"simulated/{uuid4().hex}"
    show_text(
        f"From now on SIMULATED tills and trucks report {CHANGES_PER_S:.0f} changes of stock a second on average:"
    )
    show_text(first_sale(client, changes, source=source, now=datetime.now(UTC)))
    clock = partial(datetime.now, UTC)
    tills = partial(run_tills, client, changes, source=source, clock=clock, wait=stop.wait)
    threading.Thread(target=tills, daemon=True).start()


def _question_in(store_id: str, shopper: Shopper, way: str) -> dict[str, object]:
    context = {"channel": "store", "store_id": store_id, "fulfilment": [way]}
    return {"customer_id": shopper.customer_id, "placement": "app_home", "size": 20, "context": context}


def _print_decision(base: str, body: Mapping[str, object], answer: JsonObject) -> None:
    rows = [
        (
            str(proposition["rank"]),
            proposition["kind"],
            proposition["product_id"],
            proposition["name"] or "",
            f"{proposition['score']:.3f}",
            f"{proposition['probability']:.3f}",
            proposition["reasons"][0]["text"],
        )
        for proposition in answer["propositions"]
    ]
    title = f"What customer {body['customer_id']} should see now (model {answer['model_version'] or '(none)'})"
    show_text(TextTable(("#", "kind", "product", "name", "score", "P", "why"), rows, title=title))
    show_text(_ways_table(answer))
    if answer["degraded"]:
        show_text(f"degraded: {', '.join(answer['degraded'])}")
    request = f"curl -s {base}{DECISIONS} -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
    show_text("Ask again:", request)


def _ways_table(answer: JsonObject) -> TextTable:
    """How the customer can have what is shown; raises DemoFailure where something is shown that they cannot have."""
    rows = [
        (str(one["rank"]), one["product_id"], _price(one["price"]), "; ".join(map(_way, one.get("options") or ())))
        for one in answer["propositions"]
    ]
    nowhere = [product_id for _, product_id, _, ways in rows if not ways]
    if nowhere or not rows:
        raise DemoFailure(f"the answer shows {', '.join(nowhere) or 'nothing'}, which no store has")
    count = answer["eligible_count"]
    having = "" if count is None else f"; {count:,} products can be had"
    title = f"How to get them (SIMULATED stores, stock and prices; UTC){having}"
    return TextTable(("#", "product", "price", "by which way"), rows, title=title)


def _price(price: JsonObject | None) -> str:
    return "" if price is None else f"{format_amount(price['amount_minor'], price['currency'])} {price['currency']}"


def _way(option: JsonObject) -> str:
    left = "" if option["quantity_left"] is None else f", {option['quantity_left']:g} left"
    return f"{option['way']} {option['store_id']} {instant_text(option['available_from'])}{left}"
