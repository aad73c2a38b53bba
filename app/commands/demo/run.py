"""`endcap demo`: from nothing to one decision on a grocer's year and its coupons, then serving on."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from time import monotonic, sleep

from app.commands import supervisor
from app.commands.demo.client import DECISIONS, Client, DemoFailure
from app.commands.demo.coupons import (
    Shopper,
    basket_of,
    couponed_product,
    find_shopper,
    qualification_lines,
)
from app.commands.figures import training_outcome
from app.commands.imports.demonstration import import_parts
from app.commands.terminal import notify, progress_bar, show_text
from app.commands.text_table import TextTable
from app.domain import Degraded, JsonObject
from app.errors import StoreUnavailable
from app.imports.run import Sources, run_imports
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
    _prepare(settings, budget_s=budget_s)
    stop = supervisor.Stop()
    if not check:
        supervisor.stop_on_signals(stop)
    failure: list[BaseException] = []

    def show_then_maybe_stop(_: str) -> None:
        # In a thread, because the supervisor watches over its children only once this returns.
        threading.Thread(target=_show, args=(settings, stop, check, failure), daemon=True).start()

    supervisor.run(settings, on_started=show_then_maybe_stop, until=stop)
    if failure:
        raise failure[0]


def _prepare(settings: Settings, *, budget_s: float) -> None:
    """Import and training; what an earlier run has done is not repeated, which takes seconds."""
    from training.run import is_up_to_date, train

    with progress_bar() as progress:
        sources = Sources(known="complete-journey")
        reports = run_imports(settings, sources, shift_to_now=True, now=datetime.now(UTC), progress=progress)
    for report in reports:
        notify(f"{report.table}: {report.rows_added:,} new of {report.rows_read:,} rows ({report.seconds:.1f} s)")
    has_news = any(report.rows_added for report in reports)
    if is_up_to_date(settings) and not has_news:
        notify("The live bundle was trained on exactly this history: no training.")
        return
    with redis_for(settings) as redis_url, progress_bar() as progress:
        trained = train(settings, redis_url, budget_s=budget_s, seed=0, publish=True, progress=progress)
    show_text(*training_outcome(trained))


def _show(settings: Settings, stop: supervisor.Stop, check: bool, failure: list[BaseException]) -> None:
    try:
        client = Client(f"http://{settings.host}:{settings.port}", settings.api_key)
        _wait_until_ready(client.base)
        shopper = find_shopper(settings, now=datetime.now(UTC))
        body = _question(shopper)
        _print_decision(client.base, body, _decision(client, body))
        if shopper.has_coupons:
            _show_coupons(settings, client, shopper)
        show_text(*import_parts(settings, now=datetime.now(UTC)))
        if not check:
            notify(f"Serving on {client.base} (API at {client.base}/docs); Ctrl-C ends it.")
    # Handed on to run_demo(), because an error in a thread would end nothing but the thread.
    except (OSError, DemoFailure) as error:
        failure.append(StoreUnavailable(f"the demo's service did not answer as it should: {error}"))
        stop.set()
    if check:
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
    if answer["degraded"]:
        show_text(f"degraded: {', '.join(answer['degraded'])}")
    request = f"curl -s {base}{DECISIONS} -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
    show_text("Ask again:", request)
