"""The commands about dead letters: list what could not be stored, replay it, delete it."""

from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import typer

from app.commands.terminal import AsJson, DataDir, load_settings, show
from app.commands.text_table import TextTable
from app.composition.stores import keys_of, redis_client
from app.domain import JsonObject
from app.errors import BadInput
from app.stores.redis.dead_letters import DeadLetter, DeadLetters
from app.stores.redis.server.embedded import redis_for

COLUMNS = ("letter", "accepted", "sender", "event", "type", "reason")

LetterIds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[LETTER_ID]…", help="Letters, as `endcap dead-letters list` shows them.", show_default=False
    ),
]
All = Annotated[bool, typer.Option("--all", help="All of them.")]

dead_letters = typer.Typer(
    no_args_is_help=True, help="List, replay and delete events that could not be stored.", add_completion=False
)


@dead_letters.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List accepted events that the worker gave up on, with the reason; whom they are about is not shown."""
    with _opened(data_dir) as letters:
        listed = list(letters.each())
    rows = [
        (
            letter.letter_id,
            f"{letter.accepted_at:%Y-%m-%d %H:%M:%S}",
            "" if letter.event is None else letter.event.sender,
            "no event" if letter.event is None else letter.event.event_id,
            "" if letter.event is None else letter.event.type,
            letter.reason,
        )
        for letter in listed
    ]
    show(as_json, {"dead_letters": [_facts(letter) for letter in listed]}, TextTable(COLUMNS, rows))


@dead_letters.command()
def replay(letter_ids: LetterIds = None, all_: All = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Give letters back to the worker, once their reason is gone; their receipts count as accepted when they were."""
    chosen = _chosen(letter_ids, all_)
    with _opened(data_dir) as letters:
        count = letters.replay(chosen)
    _report(as_json, "replayed", count, chosen)


@dead_letters.command()
def delete(letter_ids: LetterIds = None, all_: All = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Delete letters for good."""
    chosen = _chosen(letter_ids, all_)
    with _opened(data_dir) as letters:
        count = letters.delete(chosen)
    _report(as_json, "deleted", count, chosen)


@contextmanager
def _opened(data_dir: DataDir) -> Iterator[DeadLetters]:
    settings = load_settings(data_dir)
    with redis_for(settings) as redis_url, closing(redis_client(redis_url)) as client:
        yield DeadLetters(client, keys_of(settings))


def _chosen(letter_ids: Collection[str] | None, all_: bool) -> Collection[str] | None:
    if bool(letter_ids) == all_:
        raise BadInput("name letters, as `endcap dead-letters list` shows them, or give --all")
    return set(letter_ids) if letter_ids else None


def _report(as_json: bool, done: str, count: int, chosen: Collection[str] | None) -> None:
    missing = 0 if chosen is None else len(chosen) - count
    unknown = f"; {missing} named are no letters (any more)" if missing else ""
    show(as_json, {done: count, "unknown": missing}, f"{done}: {count}{unknown}")
    if missing:
        raise typer.Exit(1)


def _facts(letter: DeadLetter) -> JsonObject:
    event = letter.event
    return {
        "letter_id": letter.letter_id,
        "accepted_at": letter.accepted_at.isoformat(),
        "sender": None if event is None else event.sender,
        "event_id": None if event is None else event.event_id,
        "type": None if event is None else event.type,
        "reason": letter.reason,
    }
