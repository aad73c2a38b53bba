"""Whom no file brings in again: everybody who was erased, by their tombstones."""

from collections.abc import Collection

import polars as pl

from app.composition.stores import ledger_as_it_stands
from app.customers.tombstones import tombstone_of
from app.domain import subject_of
from app.erasure.secret import secret_of
from app.history.rows import ANONYMOUS_ID, CUSTOMER_ID
from app.imports.quality.erased import IsErased, nobody
from app.settings import Settings
from app.stores.sql.customers.erasures import all_tombstones


def erased_people(settings: Settings) -> IsErased:
    """Says of rows whether they are of somebody who was erased; as of now."""
    with ledger_as_it_stands(settings) as ledger:
        tombstones = ledger.read(all_tombstones)
    if not tombstones:
        return nobody
    secret = secret_of(settings.privacy_file)

    def is_erased(people: pl.DataFrame) -> pl.Series:
        customers = _among(people[CUSTOMER_ID], secret, tombstones, is_customer=True)
        return customers | _among(people[ANONYMOUS_ID], secret, tombstones, is_customer=False)

    return is_erased


def _among(ids: pl.Series, secret: bytes, tombstones: Collection[str], *, is_customer: bool) -> pl.Series:
    """For each id whether it is among them; False for null."""
    known = {one for one in ids.unique().to_list() if one is not None}
    keys = {one: subject_of(one) if is_customer else subject_of(None, one) for one in known}
    gone = [one for one, key in keys.items() if tombstone_of(secret, key) in tombstones]
    return ids.is_in(gone).fill_null(False)
