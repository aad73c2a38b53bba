"""The commands that release models: publish, canary, shadow, rollback, and what there is to choose from."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.commands.terminal import AsJson, DataDir, load_settings, progress_bar, show, table_of
from app.errors import BadInput, BundleRefused
from app.model.release import CanaryTrial, ShadowTrial, Trials, read_trials
from app.settings import Settings

Version = Annotated[str | None, typer.Argument(help="A version that `endcap models` lists.")]
Off = Annotated[bool, typer.Option("--off", help="End it.")]

DEFAULT_SHARE_PERCENT = 5.0
DEFAULT_PER_SECOND = 5.0

models = typer.Typer(help="List, compare and roll back bundles.", add_completion=False)


def add_release_commands(cli: typer.Typer) -> None:
    """Adds them to the command line."""
    for command in (publish, rollback, canary, shadow):
        cli.command()(command)
    cli.add_typer(models, name="models")


def publish(
    version: str,
    force: Annotated[bool, typer.Option("--force", help="Publish although the gate refuses.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; the manifest keeps it.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Serve this bundle version from now on, unless the gate refuses it."""
    from app.stores.redis.embedded import redis_for
    from training.release.release import release

    if force and not (reason or "").strip():
        raise BadInput("--force needs --reason TEXT: the manifest keeps why a refused bundle was published")
    if reason is not None and not force:
        raise BadInput("--reason belongs to --force; without it the gate alone decides")
    settings = load_settings(data_dir)
    with redis_for(settings) as redis_url, progress_bar() as bar:
        verdict = release(settings, redis_url, version, reason=reason, now=datetime.now(UTC), progress=bar)
    title = f"{version} is {'live' if verdict.is_published else 'not published'}"
    show(as_json, verdict.to_dict(), table_of(("check", "", "detail"), verdict.rows(), title=title))
    refusal = verdict.refusal()
    if refusal is not None:
        raise refusal


def rollback(version: Version = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Serve the version that was published before the current one, or another published one; nothing is checked."""
    from training.release.publish import rollback as roll_back

    target = roll_back(load_settings(data_dir).bundles_dir, version)
    show(as_json, {"model_version": target}, f"serving {target}")


def canary(
    version: Version = None,
    share: Annotated[float, typer.Option(min=0.0, max=100.0, help="Percent of people.")] = DEFAULT_SHARE_PERCENT,
    off: Off = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give a share of all people to a bundle; without VERSION tell what is on trial."""
    from training.release.publish import set_canary

    settings = _checked(data_dir, version, off=off)
    if off or version is not None:
        set_canary(settings.bundles_dir, None if version is None else CanaryTrial(version, share))
    _show_trials(settings, as_json)


def shadow(
    version: Version = None,
    per_second: Annotated[
        float, typer.Option("--per-second", min=0.001, max=100.0, help="Answers ranked again, in each server.")
    ] = DEFAULT_PER_SECOND,
    off: Off = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Rank answered questions again with a bundle that is not served; without VERSION tell what is on trial."""
    from training.release.publish import set_shadow

    settings = _checked(data_dir, version, off=off)
    if off or version is not None:
        set_shadow(settings.bundles_dir, None if version is None else ShadowTrial(version, per_second))
    _show_trials(settings, as_json)


@models.callback(invoke_without_command=True)
def list_(context: typer.Context, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List bundles, newest first, with their marks, figures, data window and the reason of a forced release."""
    if context.invoked_subcommand is not None:
        return
    from training.release.listing import COLUMNS, list_models

    found = list_models(load_settings(data_dir).bundles_dir)
    show(
        as_json, {"models": [model.to_dict() for model in found]}, table_of(COLUMNS, [model.cells() for model in found])
    )


@models.command()
def compare(
    first: str,
    second: Annotated[str | None, typer.Argument(help="Default: the live bundle.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put two bundles side by side: what training measured, and the same held-out questions asked of both."""
    from app.model.bundle import current_version
    from training.release.comparison import compare as compare_bundles

    settings = load_settings(data_dir)
    with progress_bar() as bar:
        other = second or current_version(settings.bundles_dir)
        comparison = compare_bundles(settings, first, other, progress=bar)
    columns = ("figure", *comparison.versions)
    show(as_json, comparison.to_dict(), table_of(columns, comparison.rows()))


models.command("rollback")(rollback)


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


def _show_trials(settings: Settings, as_json: bool) -> None:
    trials = _trials(settings)
    told = [
        "no canary"
        if trials.canary is None
        else f"canary {trials.canary.version} for {trials.canary.share_percent:g} % of people",
        "no shadow"
        if trials.shadow is None
        else f"shadow {trials.shadow.version}, at most {trials.shadow.per_second:g} answers a second",
    ]
    show(as_json, asdict(trials), "\n".join(told))


def _trials(settings: Settings) -> Trials:
    try:
        return read_trials(settings.bundles_dir)
    except BundleRefused as error:
        raise BadInput(error.message) from None
