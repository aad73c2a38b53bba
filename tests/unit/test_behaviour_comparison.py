"""Whether two recordings of behaviour differ: found where they do, and only where nobody meant it."""

import json
from pathlib import Path

import pytest

from benchmarks.behaviour.__main__ import main
from benchmarks.behaviour.compare import MISSING, Difference, Renames, differences, summary

SLATE = {
    "slate": [
        {"product_id": "tea", "score": 0.25, "price": 399},
        {"product_id": "mug", "score": 0.125, "price": 5},
    ]
}
NOTHING = Renames(keys={}, values={}, texts={}, only_before=frozenset(), only_after=frozenset())


def found(before: object, after: object, changed: Renames = NOTHING, *, ignore_text: bool = False) -> list[Difference]:
    return list(differences(before, after, changed, ignore_text=ignore_text))


def changed_slate(**values: object) -> dict[str, object]:
    first, second = SLATE["slate"]
    return {"slate": [first, second | values]}


def test_equal_recordings_have_no_difference() -> None:
    assert not found(SLATE, json.loads(json.dumps(SLATE)))


@pytest.mark.parametrize(
    ("key", "old", "new"), [("score", 0.125, 0.1250001), ("price", 5, 6), ("product_id", "mug", "cup")]
)
def test_changed_value_is_found_with_its_path(key: str, old: object, new: object) -> None:
    assert found(SLATE, changed_slate(**{key: new})) == [Difference(f"slate[1].{key}", old, new)]


def test_noise_of_the_last_digits_is_no_difference() -> None:
    assert not found(SLATE, changed_slate(score=0.125 * (1 + 1e-10)))
    assert found({"bought": True}, {"bought": 1})


def test_whatever_only_one_has_is_a_difference() -> None:
    assert found({"a": 1}, {"b": 1}) == [Difference("a", 1, MISSING), Difference("b", MISSING, 1)]
    assert found({"a": [1, 2]}, {"a": [1]}) == [Difference("a[1]", 2, MISSING)]
    intended = Renames(keys={}, values={}, texts={}, only_before=frozenset({"a"}), only_after=frozenset({"b"}))
    assert not found({"a": 1}, {"b": 1}, intended)


def test_renamed_keys_and_values_are_the_same() -> None:
    before = {"slate": [{"code": "seen", "slate": 1}], "row": {"slate": "seen as it was seen"}}
    after = {"items": [{"code": "shown", "slate": 1}], "row": {"slate": "seen as it was seen"}}
    changed = Renames(keys={".slate": "items"}, values={"seen": "shown"}, texts={})
    assert not found(before, after, changed)
    assert [one.path for one in found(before, after)] == ["slate", "items"]


def test_reworded_texts_still_hold_their_numbers() -> None:
    changed = Renames(keys={}, values={}, texts={r"Every (\d+) days": r"About every \1 days"})
    assert not found({"text": "Every 7 days"}, {"text": "About every 7 days"}, changed)
    assert found({"text": "Every 7 days"}, {"text": "About every 8 days"}, changed)


def test_texts_are_left_out_only_on_request() -> None:
    before, after = ({"reasons": [{"code": "taste", "text": text}]} for text in ("Like tea", "Because of tea"))
    assert found(before, after)
    assert not found(before, after, ignore_text=True)
    assert found(before, {"reasons": [{"code": "trending", "text": "Like tea"}]}, ignore_text=True)


def test_summary_counts_places_of_one_kind_together() -> None:
    many = found({"a": [{"b": 1}, {"b": 2}], "c": 1}, {"a": [{"b": 2}, {"b": 3}], "c": 2})
    assert [line.split() for line in summary(many)] == [["2", "a[].b"], ["1", "c"]]


def test_command_ends_with_1_when_something_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_text(json.dumps(SLATE))
    after.write_text(json.dumps(changed_slate(price=6)))
    assert main(["compare", str(before), str(before)]) == 0
    assert main(["compare", str(before), str(after)]) == 1
    assert "slate[1].price: 5 -> 6" in capsys.readouterr().out
