"""The commands about API keys: make one, list them, end one."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from app.commands.terminal import AsJson, DataDir, show, table_of
from app.composition.stores import opened_ledger
from app.domain import Scope
from app.settings import Settings
from app.stores.sql.access.keys import ApiKey, create_key, list_keys, revoke_key

COLUMNS = ("key", "client", "scopes", "per second", "made", "revoked")
ONCE = "This is the only time that the key is shown: only its hash is kept."

keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.", add_completion=False)


@keys.command()
def create(
    client: Annotated[str, typer.Option(help="Who will use it, as till-12.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may be used for; give several times for several.")],
    per_second: Annotated[
        int | None,
        typer.Option(
            "--per-second", min=0, help="Requests per second; 0: no limit. [default: ENDCAP_KEY_REQUESTS_PER_SECOND]"
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, once; a client has two live keys at most."""
    with opened_ledger(Settings.load(data_dir=data_dir)) as ledger:
        key_id, key = create_key(ledger, client, scope, per_second=per_second, now=datetime.now(UTC))
    show(as_json, {"key_id": key_id, "client": client, "key": key}, f"{key_id} of {client}\n{key}\n{ONCE}")


@keys.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List all keys, live and revoked; none is shown itself."""
    with opened_ledger(Settings.load(data_dir=data_dir)) as ledger:
        found = list_keys(ledger)
    rows = [
        (
            key.key_id,
            key.client,
            ", ".join(key.scopes),
            "default" if key.per_second is None else str(key.per_second or "no limit"),
            f"{key.created_at:%Y-%m-%d %H:%M}",
            "" if key.revoked_at is None else f"{key.revoked_at:%Y-%m-%d %H:%M}",
        )
        for key in found
    ]
    show(as_json, {"keys": [_told(key) for key in found]}, table_of(COLUMNS, rows))


@keys.command()
def revoke(key_id: str, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """End a key for ever; servers refuse it within a second."""
    with opened_ledger(Settings.load(data_dir=data_dir)) as ledger:
        revoke_key(ledger, key_id, now=datetime.now(UTC))
    show(as_json, {"revoked": key_id}, f"{key_id} is revoked")


def _told(key: ApiKey) -> dict[str, Any]:
    revoked_at = None if key.revoked_at is None else key.revoked_at.isoformat()
    return asdict(key) | {"created_at": key.created_at.isoformat(), "revoked_at": revoked_at}
