"""How much more is sold on promotion: found again where it is known, and blind for what came later."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.support.rows import history_of
from tests.unit.training.data.test_promotions import START, write
from training.data.dataset import Dataset, load_interactions, with_promotions
from training.learners.promotions import promotion_lift

WEEKS = 20


def shop(folder: Path) -> Dataset:
    """Each week 40 lines of bread, and 10 of jam: 30 in every fourth week, when it is on promotion."""
    rows = []
    for week in range(WEEKS):
        for name, count in (("bread", 40), ("jam", 30 if week % 4 == 0 else 10)):
            rows += [
                {
                    "time": START + timedelta(days=7 * week, hours=line),
                    "product_id": name,
                    "customer_id": f"c{line}",
                    "basket_id": f"{name}{week}-{line}",
                    "store_id": "n",
                }
                for line in range(count)
            ]
    write(folder, [("jam", "n", 7 * week, 7 * week + 7, None, "1") for week in range(0, WEEKS, 4)])
    return with_promotions(load_interactions(history_of(rows, type="purchase", quantity=1.0), None), folder)


def test_lift_is_how_much_more_of_the_shop_s_lines_a_product_has_on_promotion(tmp_path: Path) -> None:
    dataset = shop(tmp_path)
    assert dataset.promotions is not None
    lift = dict(zip(dataset.product_ids, promotion_lift(dataset, dataset.promotions), strict=True))
    # 30 of 70 lines against 10 of 50.
    assert lift["jam"] == pytest.approx(30 / 70 / (10 / 50), rel=0.02)
    # Never on promotion: as all are.
    assert lift["bread"] == pytest.approx(lift["jam"], rel=0.1)
    assert dataset.promotions.facts(dataset.as_of_day, line_count=dataset.line_count) == {
        "promotions": 5,
        "promotion_weeks": 5,
        "share_of_lines_on_promotion": round(150 / (WEEKS * 40 + 5 * 30 + 15 * 10), 4),
    }


def test_sales_after_the_cut_do_not_move_a_lift(tmp_path: Path) -> None:
    dataset = shop(tmp_path)
    assert dataset.promotions is not None
    cut = START.timestamp() / 86_400 + 7 * 12 - 1e-6
    known = dataset.only(dataset.day < cut, as_of_day=cut)
    changed = replace(
        dataset.promotions, sales=dataset.promotions.sales * np.where(dataset.promotions.end_minute > cut * 1440, 9, 1)
    )
    assert promotion_lift(known, dataset.promotions).tolist() == promotion_lift(known, changed).tolist()
    assert promotion_lift(dataset, dataset.promotions).tolist() != promotion_lift(dataset, changed).tolist()
