"""How a bundle came about, read from its own folder: what a report shows besides the figures."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from app.domain import JsonObject
from app.model.goods.left_out import NON_GOODS

MAX_BYTES = 200_000
"""A larger document lists products, not settings."""
NOT_SETTINGS = ("manifest.json", "catalogue.json", "product_ids.json", "groups.json")
WEIGHING = re.compile(r"weight|importance|coefficient")
MIN_WEIGHTS = 2


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """Facts, parameters by dotted name, tried settings in order, and every mapping of weights or importances.

    `not_tried`: settings that the tuning's budget had no room for. `coupons`: what the coupon model measured on later
    campaigns, None without a model; else `no_coupons` may say why. `non_goods`: what looked like no goods (`NonGood`).
    """

    version: str
    created_at: str
    commit: str
    window: str
    parameters: Mapping[str, str]
    trials: Sequence[Mapping[str, object]]
    weights: Mapping[str, Mapping[str, float]]
    not_tried: Sequence[Mapping[str, object]] = ()
    non_goods: Sequence[JsonObject] = ()
    coupons: Mapping[str, float] | None = None
    no_coupons: str | None = None


def read_bundle_facts(folder: Path) -> BundleFacts:
    """What the bundle in `folder` says of itself; documents that it may hold one day are read by the same rule."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    config = dict(manifest.get("config") or {})
    trials = config.pop("trials", None) or []
    not_tried = config.pop("not_tried", None) or []
    non_goods = config.pop(NON_GOODS, None) or []
    documents = {"config": config} | {
        path.stem: json.loads(path.read_bytes())
        for path in sorted(folder.glob("*.json"))
        if path.name not in NOT_SETTINGS and path.stat().st_size <= MAX_BYTES
    }
    window = manifest.get("data_window") or {}
    return BundleFacts(
        version=str(manifest["version"]),
        created_at=_instant(manifest["created_at"]),
        commit=str(manifest.get("commit")),
        window=f"{_day(window.get('start'))} to {_day(window.get('end'))}" if window.get("start") else "no timestamps",
        parameters=dict(_scalars(documents, "")),
        trials=[dict(_flat(trial, "")) for trial in trials],
        weights=dict(_weights(documents, "")),
        not_tried=not_tried,
        non_goods=non_goods,
        coupons=documents["coupons"].get("measured", {}) if "coupons" in documents else None,
        no_coupons=config.get("coupons"),
    )


def _instant(written: object) -> str:
    return f"{datetime.fromisoformat(str(written)):%Y-%m-%d %H:%M} UTC"


def _day(instant: object) -> str:
    return str(instant)[:10]


def _is_weights(name: str, value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) >= MIN_WEIGHTS
        and WEIGHING.search(name) is not None
        and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value.values())
    )


def _weights(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, float]]]:
    for name, inner in value.items():
        if _is_weights(name, inner):
            yield f"{path}{name}", inner
        elif isinstance(inner, dict):
            yield from _weights(inner, f"{path}{name}.")


def _scalars(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Everything but weights, by dotted name; of long lists their length."""
    for name, inner in value.items():
        if isinstance(inner, dict) and not _is_weights(name, inner):
            yield from _scalars(inner, f"{path}{name}.")
        elif isinstance(inner, list):
            yield f"{path}{name}", _listed(inner)
        elif not isinstance(inner, dict):
            yield f"{path}{name}", _plain(inner)


def _flat(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, "")
        else:
            yield f"{path}{name}", inner


def _listed(values: Sequence[Any]) -> str:
    is_short = len(values) <= 10 and not any(isinstance(one, dict | list) for one in values)
    return ", ".join(map(_plain, values)) if is_short else f"{len(values)} entries"


def _plain(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "–" if value is None else str(value)
