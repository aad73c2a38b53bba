"""`endcap …`: the commands, each thin: settings in, one call, a report out."""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from app import __version__
from app.commands.backup import backup, restore
from app.commands.dead_letters import dead_letters
from app.commands.erasures import verify_erasure
from app.commands.figures import evaluation_outcome, training_outcome
from app.commands.imports.feed import feed
from app.commands.imports.files import import_
from app.commands.imports.journal import imports
from app.commands.keys import keys
from app.commands.models import add_release_commands
from app.commands.settlement import settle
from app.commands.terminal import AsJson, DataDir, load_settings, notify, progress_bar, show, show_text
from app.errors import BadInput, EndcapError, ReleaseRefused
from app.processes.machine import prepare
from app.settings import MlflowSettings, Settings, unknown_variables

cli = typer.Typer(
    name="endcap",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Real-time personalization for retailers.",
)

Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="ENDCAP_HOST, else 127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="Port to listen on.", show_default="ENDCAP_PORT, else 8000")]
BudgetMinutes = Annotated[float, typer.Option("--budget-minutes", min=0.0, help="CPU minutes to spend on tuning.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file of docs/training.md; options here overrule it.")
]
Publish = Annotated[
    bool | None, typer.Option("--publish/--no-publish", help="Serve the new bundle at once.", show_default="publish")
]
WarmStart = Annotated[
    bool | None,
    typer.Option("--warm-start/--cold-start", help="Continue from the live bundle.", show_default="cold-start"),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="Processes of the API.", show_default="ENDCAP_API_PROCESS_COUNT, else one per core"
    ),
]
Given = Annotated[str | None, typer.Option("--handover", hidden=True, help="What the supervisor hands over.")]
ParentPid = Annotated[int | None, typer.Option(hidden=True, help="End when the process with this id has ended.")]
Seed = Annotated[int, typer.Option(help="Seed of all random numbers.")]

_log = logging.getLogger("app.cli")


def main() -> None:
    """Runs one command; the exit status is its own, whatever native libraries do while the interpreter ends."""
    prepare()
    status = run_command()
    # Whoever read the output may have gone, as `head` does.
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def run_command(words: Sequence[str] | None = None) -> int:
    """Runs `endcap` with these words, by default those of this process; returns the exit status.

    0; 1 when something was found wrong; 2 and one line for input that cannot be used; 130 on Ctrl-C.
    """
    try:
        # With standalone_mode=False the status of typer.Exit is returned; nothing is returned where all went well.
        return cli(words, prog_name="endcap", standalone_mode=False) or 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except TyperException as error:
        return _refused(_usage(error), error.exit_code)
    except EndcapError as error:
        return _refused(error.message, 1 if isinstance(error, ReleaseRefused) else 2)
    except KeyboardInterrupt:
        return 130
    except Exception:  # the border of a process whose standard error holds JSON lines only
        from app.telemetry import logs_to_stderr

        if not logs_to_stderr():
            raise
        _log.critical("ended by a failure", exc_info=True)
        return 1


def _refused(message: str, status: int) -> int:
    if message:
        print(f"endcap: {message}", file=sys.stderr)  # noqa: T201 - the one clear line
    return status


def _usage(error: TyperException) -> str:
    """What is wrong with the command line and where to look, in one line; nothing where the help was shown instead."""
    message = " ".join(error.format_message().split()).rstrip(".")
    context: typer.Context | None = getattr(error, "ctx", None)
    where = "endcap" if context is None else context.command_path
    return f"{message} (see `{where} --help`)" if message else ""


def _show_version(wanted: bool) -> None:
    if wanted:
        show_text(f"endcap {__version__}")
        raise typer.Exit


@cli.callback()
def endcap(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Real-time personalization for retailers."""


def _start_logging(settings: Settings, *, parent_pid: int | None = None) -> None:
    """JSON lines on standard error from here on; a child leaves the warnings about variables to its parent."""
    from app.telemetry import log_to_stderr

    log_to_stderr(settings.log_level)
    for line in unknown_variables() if parent_pid is None else ():
        _log.warning(line)


@cli.command()
def up(host: Host = None, port: Port = None, workers: Workers = None, data_dir: DataDir = None) -> None:
    """Start Valkey, the API and the worker on one data directory, and end them on Ctrl-C."""
    from app.commands import supervisor

    settings = Settings.load(data_dir=data_dir, host=host, port=port, api_process_count=workers)
    # Checked here as well, where a mistake is one clear line and not a child that keeps dying.
    settings.placements()
    _start_logging(settings)
    supervisor.run(settings, on_started=lambda address: show_text(_started(address, settings)))


def _started(address: str, settings: Settings) -> str:
    return f"Endcap on {address}/docs\nConsent {settings.consent_in_words}"


@cli.command()
def reload(data_dir: DataDir = None) -> None:
    """Exchange the processes of a running `endcap up` for new ones, one after the other, without a gap."""
    from app.commands.supervisor import ask_for_exchange

    pid = ask_for_exchange(load_settings(data_dir).data_dir)
    show_text(f"process {pid} exchanges its API and its worker; its log says when that is done")


@cli.command()
def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    handover: Given = None,
    parent_pid: ParentPid = None,
) -> None:
    """Start only the API, on the Redis of ENDCAP_REDIS_URL."""
    from app.commands.serve import serve as run_serve
    from app.commands.supervisor import check_access, end_with

    settings = Settings.load(data_dir=data_dir, host=host, port=port)
    check_access(settings)
    _start_logging(settings, parent_pid=parent_pid)
    if parent_pid is not None:
        end_with(parent_pid)
    run_serve(settings, redis_url_of(settings), handover)


@cli.command()
def worker(data_dir: DataDir = None, parent_pid: ParentPid = None) -> None:
    """Start only the worker, on the Redis of ENDCAP_REDIS_URL."""
    from app.commands.supervisor import Stop, end_with, stop_on_signals
    from app.composition.worker import opened_worker

    settings = Settings.load(data_dir=data_dir)
    _start_logging(settings, parent_pid=parent_pid)
    if parent_pid is not None:
        end_with(parent_pid)
    # Before anything is opened: a signal that comes this early still ends the worker in order.
    stop = stop_on_signals(Stop())
    with opened_worker(settings, redis_url_of(settings), parent_pid=parent_pid) as consumer:
        consumer.run(stop)


def redis_url_of(settings: Settings) -> str:
    """The Redis that a part started alone uses; raises BadInput when there is none."""
    from app.stores.redis.server.embedded import find_running

    if settings.redis_url is not None:
        return settings.redis_url
    running = find_running(settings.data_dir)
    if running is None:
        raise BadInput("no Redis: set ENDCAP_REDIS_URL, or start everything with `endcap up`")
    return running.url


@cli.command()
def features(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Compute the features of every customer and product and write them to Redis."""
    from app.stores.redis.server.embedded import redis_for
    from training.features.materialize import materialize

    settings = load_settings(data_dir)
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
    """Rebuild the coupon wallets and budgets in Redis from the ledger."""
    from app.composition.stores import opened_ledger, projections_of, redis_client
    from app.stores.redis.server.embedded import redis_for

    settings = load_settings(data_dir)
    with redis_for(settings) as redis_url, opened_ledger(settings) as ledger, progress_bar() as bar:
        projections = projections_of(settings, ledger, redis_client(redis_url))
        with closing(projections):
            count = projections.rebuild(progress=partial(bar, "wallets"))
    show(as_json, {"wallets": count}, f"wallets written: {count:,}")


@cli.command()
def train(
    config: ConfigFile = None,
    budget_minutes: Annotated[
        float | None, typer.Option(min=0.0, help="CPU minutes to spend on tuning.", show_default="1.0")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random numbers.", show_default="0")] = None,
    publish_it: Publish = None,
    warm_start: WarmStart = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on the history: tune, learn, evaluate, write features, and publish a bundle."""
    from app.stores.redis.server.embedded import redis_for
    from app.stores.sql.accounts.outcomes import export_if_there
    from training.config import read_config
    from training.release.tracking import TrackedRun, track, tracking_at
    from training.run import train as run_training

    settings, mlflow = load_settings(data_dir), MlflowSettings()
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
        notify(f"logged to MLflow at {tracking.place}" if warning is None else f"warning: {warning}")
    show(as_json, report.to_dict(), *training_outcome(report))
    # After its report: a refused bundle is an outcome, which the exit status repeats.
    if report.refusal is not None:
        raise report.refusal


@cli.command()
def evaluate(data_dir: DataDir = None, seed: Seed = 0, as_json: AsJson = False) -> None:
    """Evaluate the settings of the live bundle again on its held-out purchases."""
    from training.run import evaluate as run_evaluation

    settings = load_settings(data_dir)
    with progress_bar() as bar:
        report = run_evaluation(settings, seed=seed, progress=bar)
    show(as_json, report.to_dict(), *evaluation_outcome(report))


@cli.command()
def recommend(
    requests: Annotated[Path, typer.Option(help="File of JSON lines, each a request body of POST /v1/decisions.")],
    output: Annotated[Path, typer.Option(help="File to write, with one answer body a line in the same order.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Answer a file of requests through the pipeline that serves, without a server."""
    from app.commands.recommend import recommend as run_recommend
    from app.stores.redis.server.embedded import redis_for

    settings = load_settings(data_dir)
    with redis_for(settings) as redis_url, progress_bar() as bar:
        report = asyncio.run(run_recommend(settings, redis_url, requests, output, progress=bar))
    show(as_json, report.to_dict(), report.to_text())
    if report.invalid_count:
        raise typer.Exit(1)


@cli.command()
def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="First cut what is damaged off the append-only file; a copy is kept.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Check every part of an installation, and say what is wrong and how to fix it."""
    from app.commands import doctor as checkup

    settings = Settings.load(data_dir=data_dir)
    if repair:
        notify(checkup.repair(settings, now=datetime.now(UTC)))
    checks = checkup.examine(settings)
    lines = (f"{'ok  ' if check.is_ok else 'FAIL'} {check.part}: {check.detail}" for check in checks)
    show(as_json, {"checks": [check.to_dict() for check in checks]}, *lines)
    if not all(check.is_ok for check in checks):
        raise typer.Exit(1)


@cli.command()
def demo(
    check: Annotated[
        bool, typer.Option("--check", help="End after all is shown instead of keeping the server running.")
    ] = False,
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    budget_minutes: BudgetMinutes = 1.0,
) -> None:
    """Import a grocer's year of till lines, train, serve, and show a decision, a product selling out, a pickup."""
    from app.commands.demo.run import run_demo

    settings = load_settings(data_dir, host=host, port=port)
    run_demo(settings, check=check, budget_s=budget_minutes * 60)


add_release_commands(cli)
cli.command("settlement")(settle)
cli.command("verify-erasure")(verify_erasure)
cli.command("import")(import_)
cli.command()(feed)
for further in (backup, restore):
    cli.command()(further)
cli.add_typer(keys, name="keys")
cli.add_typer(imports, name="imports")
cli.add_typer(dead_letters, name="dead-letters")

if __name__ == "__main__":
    main()
