"""What a placements file may say, and in which words it is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.domain import Objective, Pin, Selection, SlatePolicy, Weighting
from app.errors import BadSetting
from app.settings import Placement, Settings

FULL: dict[str, Any] = {
    "size": 12,
    "fallback": ["1"],
    "objective": "margin",
    "max_per_category": 3,
    "max_per_brand": 2,
    "diversity": 0.2,
    "boost": [{"attribute": "brand", "values": ["Own"], "factor": 2}],
    "bury": [{"product_ids": ["7", "8"], "factor": 0.5}],
    "pin": [{"product_id": "9", "rank": 2}],
    "exclude": [{"attribute": "department", "values": ["TOBACCO"]}],
}


def placed(folder: Path, content: object) -> dict[str, Placement]:
    path = folder / "placements.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return Settings.load(data_dir=folder, placements_file=path).placements()


def test_every_field_reaches_the_policy(tmp_path: Path) -> None:
    assert placed(tmp_path, {"app_home": FULL})["app_home"].policy == SlatePolicy(
        objective=Objective.MARGIN,
        max_per_category=3,
        max_per_brand=2,
        diversity=0.2,
        weightings=(
            Weighting(Selection(attribute="brand", values=("Own",)), 2),
            Weighting(Selection(product_ids=("7", "8")), 0.5),
        ),
        pins=(Pin(2, "9"),),
        excluded=(Selection(attribute="department", values=("TOBACCO",)),),
    )


def test_placement_that_sets_nothing_has_no_policy(tmp_path: Path) -> None:
    plain = {"size": 3, "fallback": ["1"], "new_products": 0, "objective": "relevance", "diversity": 0}
    assert placed(tmp_path, {"till": plain})["till"].policy is None


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("colour", "red", "app_home.colour: Extra inputs are not permitted"),
        ("objective", "profit", "app_home.objective: Input should be 'relevance', 'revenue' or 'margin'"),
        ("diversity", 1.5, "app_home.diversity: Input should be less than or equal to 1"),
        ("max_per_brand", 0, "app_home.max_per_brand: Input should be greater than or equal to 1"),
        ("boost", [{"product_ids": ["1"], "factor": 0.5}], "app_home.boost.0.factor: Input should be greater than 1"),
        ("bury", [{"product_ids": ["1"], "factor": 2}], "app_home.bury.0.factor: Input should be less than 1"),
        ("boost", [{"factor": 2}], "app_home.boost.0: Value error, give product_ids, or attribute and values"),
        ("exclude", [{"attribute": "brand"}], "app_home.exclude.0: Value error, give product_ids, or"),
        ("exclude", [{"values": ["a"], "product_ids": ["1"]}], "app_home.exclude.0: Value error, give product_ids, or"),
        ("pin", [{"product_id": "1", "rank": 0}], "app_home.pin.0.rank: Input should be greater than or equal to 1"),
        ("pin", [{"product_id": name, "rank": 1} for name in "ab"], "app_home: Value error, pin names a rank twice"),
        ("pin", [{"product_id": "a", "rank": n} for n in (1, 2)], "app_home: Value error, pin names a product twice"),
        ("exclude", [{"product_ids": ["1", "9"]}], "app_home: Value error, exclude forbids 1, 9, which pin or"),
    ],
)
def test_faulty_placement_is_refused_by_its_place(tmp_path: Path, field: str, value: object, message: str) -> None:
    with pytest.raises(BadSetting) as refused:
        placed(tmp_path, {"app_home": {**FULL, field: value}})
    assert message in str(refused.value)
    assert str(refused.value).startswith("ENDCAP_PLACEMENTS_FILE=")


@pytest.mark.parametrize("content", ["no json", "[]", '{"app_home": 3}'])
def test_file_that_holds_no_placements_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(BadSetting, match=r"see docs/settings\.md"):
        placed(tmp_path, content)


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path, placements_file=tmp_path / "none.json")
    with pytest.raises(BadSetting, match="No such file"):
        settings.placements()
