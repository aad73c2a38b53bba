"""`endcap demo`: from nothing to one decision on a grocer's year, then serving on."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from app import supervisor
from app.errors import BadSetting, StoreUnavailable
from app.history import CUSTOMER_ID, PURCHASE, STORE_ID, TYPE, History
from app.imports.run import Sources, run_imports
from app.settings import Settings
from app.stores.embedded import free_port, redis_for

READY_TIMEOUT_S = 60.0

Named = Callable[[str, int, int | None], None]
BarFactory = Callable[[], AbstractContextManager[Named]]


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
    if is_up_to_date(settings):
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
        body = _question(settings)
        _print_decision(screen, base, body, _post(f"{base}/v1/decisions", body, settings.api_key))
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


def _question(settings: Settings) -> dict[str, Any]:
    """A question about a customer with a full year of baskets, in the store they know best."""
    purchases = History(settings.history_dir).scan().filter(pl.col(TYPE) == PURCHASE)
    counted = purchases.group_by(CUSTOMER_ID, STORE_ID).len().sort("len", CUSTOMER_ID, descending=True)
    row = counted.head(1).collect(engine="streaming").to_dicts()
    if not row:
        raise BadSetting(f"{settings.history_dir} holds no purchase; run `endcap import` first")
    context = {"channel": "app", "store_id": row[0][STORE_ID]}
    return {"customer_id": row[0][CUSTOMER_ID], "placement": "app_home", "size": 10, "context": context}


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
    for column in ("#", "product", "name", "score", "P(buy)", "why"):
        table.add_column(column)
    for proposition in answer["propositions"]:
        table.add_row(
            str(proposition["rank"]),
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
