"""What a report says of coupons, with a model, with one that was not measured, and without one."""

import json
from pathlib import Path

from tests.unit.training.report.test_write import MANIFEST, Page
from training.release.bundle_facts import BundleFacts, read_bundle_facts
from training.report.coupons import coupons_section

MEASURED = {
    "pairs": 317,
    "auc": 0.872,
    "auc_low": 0.853,
    "auc_high": 0.89,
    "own_purchases": 0.842,
    "breadth": 0.747,
    "gain": 0.03,
    "gain_low": 0.02,
    "gain_high": 0.04,
    "predicted_to_actual": 1.02,
}


def facts(folder: Path, *, config: dict[str, object] | None = None, **documents: object) -> BundleFacts:
    """Those of a bundle's folder with these documents."""
    for name, document in {"manifest": MANIFEST | {"config": config or {}}, **documents}.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    return read_bundle_facts(folder)


def test_measured_coupons_are_said_in_words_with_what_a_plain_ranking_reaches(tmp_path: Path) -> None:
    page = Page(coupons_section(facts(tmp_path, coupons={"weights": {"a": 1.0, "b": 2.0}, "measured": MEASURED})))
    assert "317 pairs" in page.words
    assert "+0.0300 (+0.0200 to +0.0400) compared with own purchases of a coupon's products: more than" in page.words
    assert "For each redemption 1.02 were predicted." in page.words


def test_model_that_was_not_measured_says_so(tmp_path: Path) -> None:
    said = Page(coupons_section(facts(tmp_path, coupons={"weights": {}, "measured": {}}))).words
    assert "not measured: too few redemptions" in said


def test_reason_stands_where_nothing_was_learned_and_nothing_where_there_are_no_coupons(tmp_path: Path) -> None:
    reason = "3 redemptions of ended campaigns; 50 are needed"
    said = Page(coupons_section(facts(tmp_path, config={"coupons": reason}))).words
    assert f"No coupon model: {reason}." in said
    assert coupons_section(facts(tmp_path)) == ""
