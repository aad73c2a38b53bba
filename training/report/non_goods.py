"""The section of a report on products that look like no goods: what was left out, what is worth a look, and why."""

from collections.abc import Sequence

from app.domain import JsonObject
from training.report.page import paragraph, section, table

MAX_ROWS = 50


def non_goods_section(non_goods: Sequence[JsonObject]) -> str:
    """A table of each kind; nothing where all products look like goods."""
    if not non_goods:
        return ""
    out = [one for one in non_goods if one["is_left_out"]]
    proposed = [one for one in non_goods if not one["is_left_out"]]
    words = (
        f"{len(out):,} products look like charges, deposits, bags, discounts or samples and were left out: nobody is "
        f"recommended them. {len(proposed):,} more are worth a look. Set `recommendable` in the product table to `yes` "
        "for what is to be recommended after all, to `no` for what is not, and train again."
    )
    tables = [
        table(title, ("product", "name", "lines", "evidence"), [_row(one) for one in rows[:MAX_ROWS]])
        for title, rows in ((_titled("Left out", out), out), (_titled("Worth a look", proposed), proposed))
        if rows
    ]
    return section("No goods", paragraph(words), *tables)


def _titled(title: str, rows: Sequence[object]) -> str:
    return (
        title if len(rows) <= MAX_ROWS else f"{title}: the first {MAX_ROWS} of {len(rows):,}, the rest in the manifest"
    )


def _row(one: JsonObject) -> Sequence[str]:
    return one["product_id"], one["name"] or "–", f"{one['lines']:,}", "; ".join(one["evidence"])
