"""Look first: previews, and what a person at a terminal decides before a first import."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import typer

from app.commands.imports.preview_text import preview_parts
from app.commands.terminal import notices
from app.errors import BadInput
from app.imports.columns.reading import Unclear
from app.imports.plan import Plan
from app.imports.preview.preview import PlacesToCome, Preview, coming_stores, preview_of, preview_of_unclear
from app.imports.run import Sources, planned
from app.settings import Settings


def is_a_person() -> bool:
    """Whether somebody is there who can decide."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def previews(settings: Settings, sources: Sources, *, now: datetime) -> list[Preview]:
    """What each file that is named looks like and what would become of it."""
    found: list[Preview] = []
    with ExitStack() as opened:
        seen: list[tuple[Sources, Sequence[Plan] | BadInput]] = []
        for each in _one_by_one(sources):
            try:
                seen.append((each, opened.enter_context(planned(settings, each))))
            except BadInput as error:
                seen.append((each, error))
        all_plans = [plan for _, plans in seen if not isinstance(plans, BadInput) for plan in plans]
        places = PlacesToCome(coming_stores(settings, all_plans), is_stock_complete=not sources.partial_stock)
        for each, plans in seen:
            found += _previews_of(settings, each, plans, places, now=now)
    return found


def _previews_of(
    settings: Settings, source: Sources, plans: Sequence[Plan] | BadInput, places: PlacesToCome, *, now: datetime
) -> list[Preview]:
    path = source.named()[0][1] if source.named() else Path()
    command = command_of(source)
    try:
        if isinstance(plans, BadInput):
            raise plans
        look = partial(preview_of, settings, now=now, command=command, places=places)
        return [look(plan.path, plan) for plan in plans]
    except BadInput as error:
        # A file that is not there, or no file at all, has nothing to be looked at.
        if not path.is_file():
            raise
        return [preview_of_unclear(path, error, command=command)]


def command_of(sources: Sources) -> str:
    """The command line that imports them."""
    words = ["endcap", "import"]
    for table, path in sources.named():
        words += [str(path)] if table is None else [f"--{table}", str(path)]
    if sources.mapping or sources.known:
        words += ["--mapping" if sources.mapping else "--source", sources.mapping or sources.known or ""]
    for name, value in sources.stated.model_dump(exclude_none=True).items():
        words += [f"--{name.replace('_', '-')}", ",".join(value) if isinstance(value, tuple) else str(value)]
    return shlex.join([*words, "--partial-stock"] if sources.partial_stock else words)


def answered(settings: Settings, sources: Sources) -> Sources:
    """The sources, what they leave open decided by the person at the terminal.

    Without a terminal they stay as they are.
    """
    while is_a_person():
        try:
            with planned(settings, sources):
                return sources
        except Unclear as error:
            notices.print(error.message, soft_wrap=True)
            answer = {error.option: _chosen(error.choices)}
            sources = replace(sources, stated=sources.stated.model_copy(update=answer))
    return sources


def _chosen(choices: tuple[str, ...]) -> str:
    while True:
        answer = str(typer.prompt(" or ".join(choices), err=True)).strip().lower()
        fitting = [choice for choice in choices if choice.startswith(answer)]
        if len(fitting) == 1:
            return fitting[0]
        notices.print(f"write {' or '.join(choices)}, or how it begins")


def is_confirmed(settings: Settings, sources: Sources, *, now: datetime) -> bool:
    """Whether a person who sees what a first import would do wants it; without a terminal it goes on."""
    if not is_a_person() or not sources.named() or settings.history_dir.exists():
        return True
    for preview in previews(settings, sources, now=now):
        for part in preview_parts(preview):
            notices.print(part)
    return bool(typer.confirm("Import this?", default=True, err=True))


def _one_by_one(sources: Sources) -> Iterator[Sources]:
    alone = Sources(
        known=sources.known, mapping=sources.mapping, stated=sources.stated, partial_stock=sources.partial_stock
    )
    for table, path in sources.named():
        yield replace(alone, files=(path,)) if table is None else replace(alone, **cast(Any, {table: path}))
    if not sources.named():
        yield sources
