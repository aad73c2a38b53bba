"""The commands about API keys: create one, list them, revoke one."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.commands.terminal import AsJson, DataDir, load_settings, show
from app.commands.text_table import TextTable
from app.composition.stores import opened_ledger
from app.domain import Scope
from app.errors import BadInput
from app.stores.sql.access.keys import ApiKey, create_key, create_publishable_key, list_keys, revoke_key
from app.stores.sql.access.publishable import (
    PER_SECOND,
    Publishable,
    checked_origin,
    checked_token_key,
    new_token_key,
)

COLUMNS = ("key", "client", "kind", "scopes or origins", "per second", "created", "revoked")
ONCE = "This is the only time that the key is shown: only its hash is kept."
TOKEN_KEY_ONCE = (
    "Your server signs the tokens of persons with this private key, which is shown this one time and kept nowhere:"
)
FOR_PUBLISHABLE = "is for --publishable keys"

KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="Id of a key, as `endcap keys list` shows it.")]

keys = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys.", add_completion=False)


@keys.command()
def create(
    client: Annotated[str, typer.Option(help="Name of who will use it, such as till-12.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it may be used for; give the option once for each scope.", show_default=False),
    ] = None,
    publishable: Annotated[
        bool, typer.Option("--publishable", help="Make a key for pages and apps, which only works with a token.")
    ] = False,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Of a publishable key: where its pages come from, such as https://shop.example.",
            show_default="none: it is for apps",
        ),
    ] = None,
    token_key: Annotated[
        Path | None,
        typer.Option(
            help="Of a publishable key: PEM file of the public key of your tokens.", show_default="a new pair is made"
        ),
    ] = None,
    per_second: Annotated[
        int | None,
        typer.Option(
            "--per-second",
            min=0,
            help="Requests allowed per second, of a publishable key to each person; 0 sets no limit.",
            show_default=f"ENDCAP_KEY_REQUESTS_PER_SECOND; {PER_SECOND} to a person",
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and show it this one time; a client has two live keys at most."""
    _check_kind(publishable, scope, origin, token_key)
    now = datetime.now(UTC)
    if not publishable:
        with opened_ledger(load_settings(data_dir)) as ledger:
            key_id, key = create_key(ledger, client, scope or (), per_second=per_second, now=now)
        show(as_json, {"key_id": key_id, "client": client, "key": key}, f"{key_id} of {client}\n{key}\n{ONCE}")
        return
    private, public = new_token_key() if token_key is None else (None, checked_token_key(_read(token_key)))
    about = Publishable(public, tuple(dict.fromkeys(map(checked_origin, origin or ()))))
    with opened_ledger(load_settings(data_dir)) as ledger:
        key_id, key = create_publishable_key(ledger, client, about, per_second=per_second, now=now)
    facts = {"key_id": key_id, "client": client, "key": key, "origins": about.origins, "private_key": private}
    secret = "" if private is None else f"\n{TOKEN_KEY_ONCE}\n{private.strip()}"
    show(as_json, facts, f"{key_id} of {client}, for {_where(about.origins)}\n{key}\n{ONCE}{secret}")


def _check_kind(publishable: bool, scope: list[Scope] | None, origin: list[str] | None, token_key: Path | None) -> None:
    """Raises BadParameter where the options are those of two kinds of keys."""
    if publishable and scope:
        raise typer.BadParameter(
            "a publishable key has no scopes: decisions and events of its person are all that it is for",
            param_hint="--scope",
        )
    if publishable:
        return
    for name, given in (("--origin", origin), ("--token-key", token_key)):
        if given:
            raise typer.BadParameter(FOR_PUBLISHABLE, param_hint=name)
    if not scope:
        raise typer.BadParameter(f"give one of {', '.join(Scope)}, or --publishable", param_hint="--scope")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"the token key {path} cannot be read: {error.strerror}") from None


def _where(origins: Sequence[str]) -> str:
    return f"pages of {', '.join(origins)}" if origins else "apps"


@keys.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List all keys, live and revoked, by their ids; the keys themselves are not shown."""
    with opened_ledger(load_settings(data_dir)) as ledger:
        listed = list_keys(ledger)
    rows = [
        (
            key.key_id,
            key.client,
            _kind(key),
            ", ".join(key.scopes) if key.origins is None else _where(key.origins),
            "default" if key.per_second is None else str(key.per_second or "no limit"),
            f"{key.created_at:%Y-%m-%d %H:%M}",
            "" if key.revoked_at is None else f"{key.revoked_at:%Y-%m-%d %H:%M}",
        )
        for key in listed
    ]
    show(as_json, {"keys": [_facts(key) for key in listed]}, TextTable(COLUMNS, rows))


@keys.command()
def revoke(key_id: KeyId, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Revoke a key; servers refuse it within a second, and it cannot be made valid again."""
    with opened_ledger(load_settings(data_dir)) as ledger:
        revoke_key(ledger, key_id, now=datetime.now(UTC))
    show(as_json, {"revoked": key_id}, f"{key_id} is revoked")


def _kind(key: ApiKey) -> str:
    return "secret" if key.origins is None else "publishable"


def _facts(key: ApiKey) -> dict[str, object]:
    revoked_at = None if key.revoked_at is None else key.revoked_at.isoformat()
    return asdict(key) | {"kind": _kind(key), "created_at": key.created_at.isoformat(), "revoked_at": revoked_at}
