"""The commands that release models: publish, canary, shadow, rollback, and what there is to choose from."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.commands.terminal import AsJson, DataDir, load_settings, progress_bar, show
from app.commands.text_table import TextTable
from app.errors import BadInput, BundleRefused
from app.model.release import CanaryTrial, ShadowTrial, Trials, read_trials
from app.settings import Settings

Version = Annotated[
    str | None, typer.Argument(metavar="[VERSION]", help="A version that `endcap models` lists.", show_default=False)
]
RequiredVersion = Annotated[str, typer.Argument(metavar="VERSION", help="A version that `endcap models` lists.")]
Off = Annotated[bool, typer.Option("--off", help="End the trial.")]

DEFAULT_SHARE_PERCENT = 5.0
DEFAULT_PER_SECOND = 5.0

models = typer.Typer(add_completion=False)


def add_release_commands(cli: typer.Typer) -> None:
    """Adds these commands to the command line."""
    for command in (publish, rollback, canary, shadow):
        cli.command()(command)
    cli.add_typer(models, name="models")


def publish(
    version: RequiredVersion,
    force: Annotated[bool, typer.Option("--force", help="Publish even if the gate refuses; needs --reason.")] = False,
    reason: Annotated[
        str | None, typer.Option(help="Why the refused bundle is published; its manifest keeps it.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Serve this bundle from now on, unless the gate refuses it."""
    from app.stores.redis.server.embedded import redis_for
    from training.release.release import release

    if force and not (reason or "").strip():
        raise BadInput("--force needs --reason TEXT: the manifest keeps why a refused bundle was published")
    if reason is not None and not force:
        raise BadInput("--reason belongs to --force; without it the gate alone decides")
    settings = load_settings(data_dir)
    with redis_for(settings) as redis_url, progress_bar() as bar:
        verdict = release(settings, redis_url, version, reason=reason, now=datetime.now(UTC), progress=bar)
    title = f"{version} is {'live' if verdict.is_published else 'not published'}"
    show(as_json, verdict.to_dict(), TextTable(("check", "", "detail"), verdict.rows(), title=title))
    refusal = verdict.refusal()
    if refusal is not None:
        raise refusal


def rollback(version: Version = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Serve the bundle that was published before, or another published one, without any check."""
    from training.release.publish import rollback as roll_back

    target = roll_back(load_settings(data_dir).bundles_dir, version)
    show(as_json, {"model_version": target}, f"serving {target}")


def canary(
    version: Version = None,
    share: Annotated[
        float, typer.Option(min=0.0, max=100.0, help="Percent of all people who get this bundle.")
    ] = DEFAULT_SHARE_PERCENT,
    off: Off = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give a bundle to a share of all people; without VERSION, show what is on trial."""
    from training.release.publish import set_canary

    def change(bundles_dir: Path, chosen: str | None) -> None:
        set_canary(bundles_dir, None if chosen is None else CanaryTrial(chosen, share))

    _change_trial(version, change, off=off, data_dir=data_dir, as_json=as_json)


def shadow(
    version: Version = None,
    per_second: Annotated[
        float,
        typer.Option("--per-second", min=0.001, max=100.0, help="Answers per second ranked again, in each server."),
    ] = DEFAULT_PER_SECOND,
    off: Off = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Rank answered requests again with a bundle that is not served; without VERSION, show what is on trial."""
    from training.release.publish import set_shadow

    def change(bundles_dir: Path, chosen: str | None) -> None:
        set_shadow(bundles_dir, None if chosen is None else ShadowTrial(chosen, per_second))

    _change_trial(version, change, off=off, data_dir=data_dir, as_json=as_json)


@models.callback(invoke_without_command=True)
def list_by_default(context: typer.Context, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List, compare and roll back bundles; `endcap models` alone lists them."""
    if context.invoked_subcommand is None:
        list_(data_dir, as_json)


@models.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List bundles, newest first, with their marks, figures, data window and the reason of a forced release."""
    from training.release.listing import COLUMNS, list_models

    listed = list_models(load_settings(data_dir).bundles_dir)
    rows = [model.cells() for model in listed]
    show(as_json, {"models": [model.to_dict() for model in listed]}, TextTable(COLUMNS, rows))


@models.command()
def compare(
    first: RequiredVersion,
    second: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="Another version.", show_default="the live bundle")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare two bundles on the same held-out requests; a page shows both, with settings and data that differ."""
    from app.model.bundle import current_version
    from training.report.comparison import compare_bundles

    settings = load_settings(data_dir)
    with progress_bar() as bar:
        other = second or current_version(settings.bundles_dir)
        compared = compare_bundles(settings, first, other, progress=bar)
    comparison = compared.comparison
    # The note is a sentence; in a column of figures it would not wrap.
    rows = [row for row in comparison.rows() if row[0] != "note"]
    lines = [f"page: {compared.page}", *([f"note: {comparison.note}"] if comparison.note else [])]
    show(as_json, compared.to_dict(), TextTable(("figure", *comparison.versions), rows), *lines)


models.command("rollback")(rollback)


def _change_trial(
    version: str | None,
    change: Callable[[Path, str | None], None],
    *,
    off: bool,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """What canary and shadow share: begin a trial of `version`, end it, or neither; then show all trials."""
    settings = _checked(data_dir, version, off=off)
    if off or version is not None:
        change(settings.bundles_dir, version)
    trials = _trials(settings)
    lines = ["canary: (none)", "shadow: (none)"]
    if trials.canary is not None:
        lines[0] = f"canary: {trials.canary.version} for {trials.canary.share_percent:g} % of people"
    if trials.shadow is not None:
        lines[1] = f"shadow: {trials.shadow.version}, at most {trials.shadow.per_second:g} answers per second"
    show(as_json, asdict(trials), *lines)


def _checked(data_dir: Path | None, version: str | None, *, off: bool) -> Settings:
    """The settings, once the version to put on trial is there and sound."""
    from app.model.bundle import load_bundle
    from training.release.publish import check_there

    settings = load_settings(data_dir)
    if off and version is not None:
        raise BadInput("VERSION begins, --off ends: give one of them")
    if version is not None:
        check_there(settings.bundles_dir, version)
        load_bundle(settings.bundles_dir / version)
    return settings


def _trials(settings: Settings) -> Trials:
    try:
        return read_trials(settings.bundles_dir)
    except BundleRefused as error:
        raise BadInput(error.message) from None
