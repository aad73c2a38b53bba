"""`endcap verify-erasure`: whether a receipt is genuine, and nothing of whom it is about is there."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import orjson
import typer

from app.commands.terminal import AsJson, DataDir, load_settings, show
from app.domain import JsonObject
from app.errors import BadInput

ReceiptFile = Annotated[
    Path, typer.Argument(metavar="RECEIPT", help="A file with `receipt` of GET /v1/erasures/…", show_default=False)
]
CustomerId = Annotated[
    str | None, typer.Option(help="Checks as well that the receipt is about this customer, named in any way.")
]


def verify_erasure(
    receipt: ReceiptFile, customer_id: CustomerId = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Check the signature of an erasure's receipt, and that nothing of whom it is about is stored now."""
    from app.composition.stores import keys_of, opened_ledger, redis_client
    from app.customers.identities import named_customer
    from app.customers.tombstones import tombstone_of
    from app.erasure.places import Places
    from app.erasure.receipt import check_receipt
    from app.erasure.secret import secret_of
    from app.erasure.strays import names_of
    from app.stores.redis.server.embedded import redis_for
    from app.stores.sql.customers.erasures import tombstones_among

    settings = load_settings(data_dir)
    document = _read(receipt)
    secret = secret_of(settings.privacy_file)
    check_receipt(document, secret)
    tombstones = set(document["tombstones"])
    if customer_id is not None and tombstone_of(secret, named_customer(customer_id).key) not in tombstones:
        raise BadInput(f"the receipt is genuine, and about somebody else than {customer_id!r}")
    with (
        redis_for(settings) as redis_url,
        closing(redis_client(redis_url)) as client,
        opened_ledger(settings) as ledger,
    ):
        places = Places(settings, ledger, client, keys_of(settings), secret)
        found = names_of(places, tombstones)
        is_refused = ledger.read(lambda connection: tombstones_among(connection, tombstones)) == tombstones
    problems = [f"{len(found)} of their names are stored: request the erasure again"] if found else []
    problems += [] if is_refused else ["their events would be taken again: restore the tombstones with the ledger"]
    facts = {"erasure_id": document["erasure_id"], "finished_at": document["finished_at"], "problems": problems}
    show(as_json, facts, *(problems or [f"genuine, of {document['finished_at']}; nothing of them is stored now"]))
    if problems:
        raise typer.Exit(1)


def _read(file: Path) -> JsonObject:
    """The receipt, alone or within an answer of the API."""
    try:
        document: JsonObject = orjson.loads(file.read_bytes())
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror})") from None
    except orjson.JSONDecodeError:
        raise BadInput(f"{file} is no JSON: save `receipt` of GET /v1/erasures/… to it") from None
    return document.get("receipt") or document
