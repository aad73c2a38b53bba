"""The commands about API keys: create one, list them, revoke one."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.commands.terminal import AsJson, DataDir, load_settings, show
from app.commands.text_table import TextTable
from app.composition.stores import opened_ledger
from app.domain import Scope
from app.stores.sql.access.keys import ApiKey, create_key, list_keys, revoke_key

COLUMNS = ("key", "client", "scopes", "per second", "created", "revoked")
ONCE = "This is the only time that the key is shown: only its hash is kept."

KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="Id of a key, as `endcap keys list` shows it.")]

keys = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys.", add_completion=False)


@keys.command()
def create(
    client: Annotated[str, typer.Option(help="Name of who will use it, such as till-12.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may be used for; give the option once for each scope.")],
    per_second: Annotated[
        int | None,
        typer.Option(
            "--per-second",
            min=0,
            help="Requests allowed per second; 0 sets no limit.",
            show_default="ENDCAP_KEY_REQUESTS_PER_SECOND",
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and show it this one time; a client has two live keys at most."""
    with opened_ledger(load_settings(data_dir)) as ledger:
        key_id, key = create_key(ledger, client, scope, per_second=per_second, now=datetime.now(UTC))
    show(as_json, {"key_id": key_id, "client": client, "key": key}, f"{key_id} of {client}\n{key}\n{ONCE}")


@keys.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List all keys, live and revoked, by their ids; the keys themselves are not shown."""
    with opened_ledger(load_settings(data_dir)) as ledger:
        listed = list_keys(ledger)
    rows = [
        (
            key.key_id,
            key.client,
            ", ".join(key.scopes),
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


def _facts(key: ApiKey) -> dict[str, object]:
    revoked_at = None if key.revoked_at is None else key.revoked_at.isoformat()
    return asdict(key) | {"created_at": key.created_at.isoformat(), "revoked_at": revoked_at}
