"""The features of a person whose purchases were counted under several customer ids, as if under one."""

from collections.abc import Sequence

import numpy as np

from app.domain import CustomerFeatures

DAY_S = 86_400.0


def joined_features(rows: Sequence[CustomerFeatures]) -> CustomerFeatures | None:
    """One row of all: counts and decayed weights added up by product; None of none.

    What is no sum, as favourites, is that of the id under which most products were bought.
    """
    if len(rows) < 2:
        return rows[0] if rows else None
    as_of_at = max(row.as_of_at for row in rows)
    keys, position = np.unique(np.concatenate([row.bought_keys for row in rows]), return_inverse=True)
    ages = [(as_of_at - row.as_of_at) / DAY_S for row in rows]
    count, weight_28d, weight_112d = np.zeros((3, len(keys)), np.float32)
    first, last = np.full(len(keys), np.inf, np.float32), np.full(len(keys), -np.inf, np.float32)
    np.add.at(count, position, np.concatenate([row.bought_count for row in rows]))
    for weight, name, half_life in ((weight_28d, "bought_weight_28d", 28), (weight_112d, "bought_weight_112d", 112)):
        decayed = [getattr(row, name) * 2 ** (-age / half_life) for row, age in zip(rows, ages, strict=True)]
        np.add.at(weight, position, np.concatenate(decayed))
    np.minimum.at(first, position, np.concatenate([row.bought_first_day for row in rows]))
    np.maximum.at(last, position, np.concatenate([row.bought_last_day for row in rows]))
    strongest = np.argsort(-weight_112d, kind="stable")
    scalars = max(rows, key=lambda row: len(row.bought_keys)).scalars
    columns = (column[strongest] for column in (count, weight_28d, weight_112d, first, last))
    return CustomerFeatures(as_of_at, scalars, keys[strongest], *columns)
