"""`endcap …`: the commands, each thin: settings in, one call, a report out."""

import asyncio
import os
import sys
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app.commands.keys import keys
from app.commands.models import add_release_commands
from app.commands.settlement import settle
from app.commands.terminal import AsJson, DataDir, progress_bar, screen, show, show_json
from app.errors import BadInput, EndcapError, ReleaseRefused
from app.settings import MlflowSettings, Settings

cli = typer.Typer(
    name="endcap",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Real-time personalization for retailers.",
)

Host = Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")]
Port = Annotated[int | None, typer.Option(help="Port to listen on. [default: 8000]")]
BudgetMinutes = Annotated[float, typer.Option("--budget-minutes", min=0.0, help="Time for tuning.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML of docs/training.md; options win.")]
Publish = Annotated[
    bool | None, typer.Option("--publish/--no-publish", help="Serve the new bundle at once. [default: publish]")
]
WarmStart = Annotated[
    bool | None, typer.Option("--warm-start/--cold-start", help="Go on from the live bundle. [default: cold-start]")
]
ParentPid = Annotated[int | None, typer.Option(hidden=True, help="End when this process is no more.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]


def main() -> None:
    """Runs one command; the exit status is its own, whatever native libraries do while the interpreter ends."""
    try:
        cli()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except EndcapError as error:
        print(f"endcap: {error.message}", file=sys.stderr)  # noqa: T201 - the one clear line
        status = 1 if isinstance(error, ReleaseRefused) else 2
    except KeyboardInterrupt:
        status = 130
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@cli.command()
def up(host: Host = None, port: Port = None, data_dir: DataDir = None) -> None:
    """Start Valkey, the API and the worker on one data directory; Ctrl-C ends them."""
    from app.commands import supervisor
    from app.telemetry import log_to_stderr

    settings = Settings.load(data_dir=data_dir, host=host, port=port)
    settings.placements()
    log_to_stderr(settings.log_level)
    supervisor.run(
        settings, on_started=lambda _: screen.print(f"Endcap on http://{settings.host}:{settings.port}/docs")
    )


@cli.command()
def serve(host: Host = None, port: Port = None, data_dir: DataDir = None, parent_pid: ParentPid = None) -> None:
    """Start the API alone, on the Redis of ENDCAP_REDIS_URL."""
    import uvicorn

    from app.commands.supervisor import check_bind, end_with
    from app.main import create_app
    from app.telemetry import log_to_stderr

    settings = Settings.load(data_dir=data_dir, host=host, port=port)
    check_bind(settings)
    log_to_stderr(settings.log_level)
    if parent_pid is not None:
        end_with(parent_pid)
    uvicorn.run(
        create_app(settings, redis_url_of(settings)),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        loop="uvloop",
        http="httptools",
        timeout_graceful_shutdown=10,
    )


@cli.command()
def worker(data_dir: DataDir = None, parent_pid: ParentPid = None) -> None:
    """Start the worker alone, on the Redis of ENDCAP_REDIS_URL."""
    from threading import Event

    from app.commands.supervisor import end_with, stop_on_signals
    from app.composition.worker import opened_worker
    from app.telemetry import log_to_stderr

    settings = Settings.load(data_dir=data_dir)
    log_to_stderr(settings.log_level)
    if parent_pid is not None:
        end_with(parent_pid)
    # Before anything is opened: a signal that comes this early still ends the worker in order.
    stop = stop_on_signals(Event())
    with opened_worker(settings, redis_url_of(settings)) as consumer:
        consumer.run(stop)


def redis_url_of(settings: Settings) -> str:
    """The Redis that a part started alone uses; raises BadInput when there is none."""
    from app.stores.redis.embedded import find_running

    if settings.redis_url is not None:
        return settings.redis_url
    running = find_running(settings.data_dir)
    if running is None:
        raise BadInput("no Redis: set ENDCAP_REDIS_URL, or start everything with `endcap up`")
    return running.url


@cli.command("import")
def import_(
    transactions: Annotated[Path | None, typer.Option(help="CSV or Parquet of purchases.")] = None,
    products: Annotated[Path | None, typer.Option(help="CSV or Parquet of products.")] = None,
    stores: Annotated[Path | None, typer.Option(help="CSV or Parquet of stores.")] = None,
    events: Annotated[Path | None, typer.Option(help="JSON lines of events in the API's form.")] = None,
    campaigns: Annotated[Path | None, typer.Option(help="CSV or Parquet of campaigns.")] = None,
    offers: Annotated[Path | None, typer.Option(help="CSV or Parquet of offers, a row per product.")] = None,
    audience: Annotated[Path | None, typer.Option(help="CSV or Parquet of who a campaign is for.")] = None,
    redemptions: Annotated[Path | None, typer.Option(help="CSV or Parquet of coupons redeemed elsewhere.")] = None,
    source: Annotated[str | None, typer.Option(help="A known data set: complete-journey.")] = None,
    shift_to_now: Annotated[bool, typer.Option("--shift-to-now", help="Move the history to end yesterday.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Read history, catalogue and campaigns; the same rows again change nothing."""
    from app.imports.run import Sources, run_imports

    settings = Settings.load(data_dir=data_dir)
    sources = Sources(transactions, products, stores, events, source, campaigns, offers, audience, redemptions)
    with progress_bar() as bar:
        reports = run_imports(settings, sources, shift_to_now=shift_to_now, now=datetime.now(UTC), progress=bar)
    if as_json:
        show_json({"imports": [report.to_dict() for report in reports]})
        return
    for report in reports:
        screen.print(
            f"{report.table}: {report.rows_read:,} rows read, {report.rows_added:,} added, "
            f"{report.rows_known:,} known, {report.rows_rejected:,} rejected ({report.seconds:.1f} s)"
        )
        if report.rejects_path is not None:
            screen.print(f"  rejected rows with reasons: {report.rejects_path}")


@cli.command()
def features(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Compute the feature tables and write them to Redis."""
    from app.stores.redis.embedded import redis_for
    from training.features.materialize import materialize

    settings = Settings.load(data_dir=data_dir)
    with redis_for(settings) as redis_url, progress_bar() as bar:
        report = materialize(settings, redis_url, as_of=None, progress=bar)
    rows = ", ".join(f"{view} {count:,}" for view, count in report.rows.items())
    show(
        as_json,
        {"as_of": report.as_of.isoformat(), "rows": dict(report.rows)},
        f"features as of {report.as_of}: {rows}",
    )


@cli.command()
def project(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Write the wallets and budgets that decisions look at to Redis, all anew from the ledger."""
    from app.composition.stores import opened_ledger, projections_of, redis_client
    from app.stores.redis.embedded import redis_for

    settings = Settings.load(data_dir=data_dir)
    with redis_for(settings) as redis_url, opened_ledger(settings) as ledger, progress_bar() as bar:
        projections = projections_of(settings, ledger, redis_client(redis_url))
        with closing(projections):
            count = projections.rebuild(progress=partial(bar, "wallets"))
    show(as_json, {"wallets": count}, f"wallets written: {count:,}")


@cli.command()
def train(
    config: ConfigFile = None,
    budget_minutes: Annotated[float | None, typer.Option(min=0.0, help="Time for tuning. [default: 1.0]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random. [default: 0]")] = None,
    publish_it: Publish = None,
    warm_start: WarmStart = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Learn from the history: tune, train, evaluate, materialize features and publish a bundle."""
    from app.stores.redis.embedded import redis_for
    from app.stores.sql.accounts.outcomes import export_if_there
    from training.config import read_config
    from training.release.tracking import TrackedRun, track, tracking_at
    from training.run import train as run_training

    settings, mlflow = Settings.load(data_dir=data_dir), MlflowSettings()
    given = {"budget_minutes": budget_minutes, "seed": seed, "publish": publish_it, "warm_start": warm_start}
    training = read_config(config, **given)
    tracking = tracking_at(
        training.mlflow_tracking_uri or mlflow.tracking_uri,
        training.mlflow_experiment or mlflow.experiment_name or "endcap",
    )
    export_if_there(settings)
    with redis_for(settings) as redis_url, progress_bar() as bar:
        report = run_training(
            settings,
            redis_url,
            budget_s=training.budget_minutes * 60,
            seed=training.seed,
            publish=training.publish,
            progress=bar,
            config=training,
        )
    if tracking is not None:
        folder, tags = settings.bundles_dir / report.version, {"published": str(report.published).lower()}
        warning = track(tracking, TrackedRun(folder, report.report, report.seconds, tags))
        screen.print(f"logged to MLflow at {tracking.place}" if warning is None else f"warning: {warning}")
    show(as_json, report.to_dict(), report.to_text())
    if report.refusal is not None:
        raise report.refusal


@cli.command()
def evaluate(data_dir: DataDir = None, seed: Seed = 0, as_json: AsJson = False) -> None:
    """Repeat the evaluation of the live bundle's settings on its held-out part."""
    from training.run import evaluate as run_evaluation

    settings = Settings.load(data_dir=data_dir)
    with progress_bar() as bar:
        report = run_evaluation(settings, seed=seed, progress=bar)
    show(as_json, report.to_dict(), report.to_text())


@cli.command()
def recommend(
    requests: Annotated[Path, typer.Option(help="One request body of POST /v1/decisions a line.")],
    output: Annotated[Path, typer.Option(help="Gets one answer body a line, in the same order.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Answer a file of requests through the very pipeline that serves."""
    from app.commands.recommend import recommend as run_recommend
    from app.stores.redis.embedded import redis_for

    settings = Settings.load(data_dir=data_dir)
    with redis_for(settings) as redis_url, progress_bar() as bar:
        report = asyncio.run(run_recommend(settings, redis_url, requests, output, progress=bar))
    show(as_json, report.to_dict(), report.to_text())
    if report.invalid_count:
        raise typer.Exit(1)


@cli.command()
def doctor(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Check settings, directory, ledger, Redis, history, features, bundle; tells what is wrong and how to mend it."""
    from app.commands.doctor import examine

    findings = examine(Settings.load(data_dir=data_dir))
    text = "\n".join(f"{'ok  ' if finding.is_ok else 'FAIL'} {finding.part}: {finding.detail}" for finding in findings)
    show(as_json, {"findings": [finding.to_dict() for finding in findings]}, text)
    if not all(finding.is_ok for finding in findings):
        raise typer.Exit(1)


@cli.command()
def demo(
    check: Annotated[bool, typer.Option("--check", help="End after the decision instead of serving on.")] = False,
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    budget_minutes: BudgetMinutes = 1.0,
) -> None:
    """Import a grocer's year of till lines, train, publish, serve, and show one decision."""
    from app.commands.demo import run_demo

    settings = Settings.load(data_dir=data_dir, host=host, port=port)
    run_demo(settings, screen, check=check, budget_s=budget_minutes * 60, bar=progress_bar)


add_release_commands(cli)
cli.command("settlement")(settle)
cli.add_typer(keys, name="keys")

if __name__ == "__main__":
    main()
