"""`endcap demo`: from nothing to one decision on a grocer's year and its coupons, then serving on."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Any

from rich.console import Console
from rich.table import Table

from app.commands import supervisor
from app.commands.demo_coupons import Shopper, basket_of, couponed_product, find_shopper, show_qualification
from app.domain import Degraded
from app.errors import StoreUnavailable
from app.imports.run import Sources, run_imports
from app.ports import Progress
from app.settings import Settings
from app.stores.redis.embedded import free_port, redis_for

READY_TIMEOUT_S = 60.0
WALLETS_TIMEOUT_S = 20.0
"""So long the worker may take to project every wallet into Redis; after that the demo shows what there is."""

BarFactory = Callable[[], AbstractContextManager[Progress]]


def run_demo(settings: Settings, screen: Console, *, check: bool, budget_s: float, bar: BarFactory) -> None:
    """Imports, trains where needed, serves, prints one decision; returns then if `check`, else serves until Ctrl-C."""
    # The screen is for the decision; warnings still show.
    settings = settings.model_copy(update={"log_level": "WARNING"} | ({"port": free_port()} if check else {}))
    supervisor.check_bind(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    _prepare(settings, screen, budget_s=budget_s, bar=bar)
    stop = threading.Event()
    if not check:
        supervisor.stop_on_signals(stop)
    failure: list[BaseException] = []

    def show_then_maybe_stop(_: str) -> None:
        threading.Thread(target=_show, args=(settings, screen, stop, check, failure), daemon=True).start()

    supervisor.run(settings, on_started=show_then_maybe_stop, until=stop)
    if failure:
        raise failure[0]


def _prepare(settings: Settings, screen: Console, *, budget_s: float, bar: BarFactory) -> None:
    """Import and training; what an earlier run has done already costs seconds."""
    from training.run import is_up_to_date, train

    with bar() as progress:
        sources = Sources(known="complete-journey")
        reports = run_imports(settings, sources, shift_to_now=True, now=datetime.now(UTC), progress=progress)
    for report in reports:
        screen.print(f"{report.table}: {report.rows_added:,} new of {report.rows_read:,} rows ({report.seconds:.1f} s)")
    has_news = any(report.rows_added for report in reports)
    if is_up_to_date(settings) and not has_news:
        screen.print("The live bundle was trained on this very history; nothing to learn.")
        return
    with redis_for(settings) as redis_url, bar() as progress:
        trained = train(settings, redis_url, budget_s=budget_s, seed=0, publish=True, progress=progress)
    screen.print(trained.to_text(), highlight=False)


def _show(
    settings: Settings, screen: Console, stop: threading.Event, check: bool, failure: list[BaseException]
) -> None:
    try:
        base = f"http://{settings.host}:{settings.port}"
        _wait_until_ready(base)
        shopper = find_shopper(settings, now=datetime.now(UTC))
        body = _question(shopper)
        _print_decision(screen, base, body, _decision(f"{base}/v1/decisions", body, settings.api_key))
        if shopper.has_coupons:
            _show_coupons(settings, screen, base, shopper)
        if not check:
            screen.print(f"Serving on {base} (API at {base}/docs). Ctrl-C ends it.")
    except (OSError, EndcapFailure) as error:
        failure.append(StoreUnavailable(f"the demo's service did not answer: {error}"))
        stop.set()
    if check:
        stop.set()


class EndcapFailure(Exception):
    """The service came up, but not ready."""


def _wait_until_ready(base: str) -> None:
    deadline = monotonic() + READY_TIMEOUT_S
    detail = "no answer"
    while monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{base}/readyz", timeout=2):
                return
        except urllib.error.HTTPError as error:
            detail = error.read().decode()
        except OSError as error:
            detail = str(error)
        sleep(0.1)
    raise EndcapFailure(f"not ready after {READY_TIMEOUT_S:.0f} s: {detail}")


def _question(shopper: Shopper) -> dict[str, Any]:
    """What to show to the customer in the store they know best."""
    context = {"channel": "app", "store_id": shopper.store_id}
    kinds = ["product", "coupon"]
    return {
        "customer_id": shopper.customer_id, "placement": "app_home", "size": 10, "kinds": kinds, "context": context
    }  # fmt: skip


def _decision(url: str, body: dict[str, Any], api_key: str | None) -> dict[str, Any]:
    """The answer once the wallets are in Redis, which the worker sees to after the start."""
    deadline = monotonic() + WALLETS_TIMEOUT_S
    while Degraded.COUPONS_UNKNOWN in (answer := _post(url, body, api_key))["degraded"] and monotonic() < deadline:
        sleep(0.1)
    return answer


def _show_coupons(settings: Settings, screen: Console, base: str, shopper: Shopper) -> None:
    bought = couponed_product(settings, shopper.customer_id)
    if bought is None:
        return
    answer = _post(f"{base}/v1/qualifications", basket_of(shopper, bought), settings.api_key)
    show_qualification(screen, answer, bought.name)


def _post(url: str, body: dict[str, Any], api_key: str | None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def _print_decision(screen: Console, base: str, body: dict[str, Any], answer: dict[str, Any]) -> None:
    table = Table(title=f"What customer {body['customer_id']} should see now (model {answer['model_version']})")
    for column in ("#", "kind", "product", "name", "score", "P", "why"):
        table.add_column(column)
    for proposition in answer["propositions"]:
        table.add_row(
            str(proposition["rank"]),
            proposition["kind"],
            proposition["product_id"],
            proposition["name"] or "",
            f"{proposition['score']:.3f}",
            f"{proposition['probability']:.3f}",
            proposition["reasons"][0]["text"],
        )
    screen.print(table)
    if answer["degraded"]:
        screen.print(f"degraded: {', '.join(answer['degraded'])}")
    screen.print("Ask again:", highlight=False)
    command = f"curl -s {base}/v1/decisions -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
    screen.print(command, highlight=False, markup=False, soft_wrap=True)
