"""The truth that the proofs compare with blames what was certainly gone, and nothing else."""

from math import inf
from typing import Any

import pytest

from benchmarks.places.frozen import Answer, Look, Seen, summary
from benchmarks.places.truth import Truth, digest

CELL = "s0", "p0"


@pytest.fixture
def truth() -> Truth:
    """Two left in one store at first."""
    return Truth({"s0": frozenset({"in_store", "pickup"}), "s1": frozenset({"ship"})}, {CELL: 2.0})


def answer(*options: tuple[str, str], flagged: bool = False) -> dict[str, Any]:
    """One proposition of p0."""
    named = [{"store_id": store_id, "way": way} for store_id, way in options]
    proposition = {"kind": "product", "product_id": "p0", "options": named or None}
    return {"propositions": [proposition], "degraded": ["stock_stale"] if flagged else []}


def change(truth: Truth, sent_at: float, accepted_at: float | None = None, **report: float) -> None:
    truth.sent(CELL, at=sent_at, **report)
    if accepted_at is not None:
        truth.accepted(CELL, at=accepted_at)


def test_what_is_gone_is_gone_from_the_acceptance_until_something_is_sent(truth: Truth) -> None:
    change(truth, 10, 11, change=-2)
    change(truth, 12, 13, available=0)
    change(truth, 20, 21, change=1)
    assert [truth.gone_for_s(CELL, at=at) for at in (9, 10.5, 11.5, 14, 19, 20.5, 30)] == [0, 0, 0.5, 3, 8, 0, 0]


def test_a_change_that_was_never_accepted_blames_nobody(truth: Truth) -> None:
    change(truth, 10, available=0)
    assert truth.gone_for_s(CELL, at=100) == 0


def test_more_sold_than_known_takes_as_much_to_be_there_again(truth: Truth) -> None:
    change(truth, 10, 11, change=-3)
    change(truth, 12, 13, change=1)
    assert truth.gone_for_s(CELL, at=14) == 3
    change(truth, 15, 16, change=1)
    assert truth.gone_for_s(CELL, at=17) == 0


def test_a_proposition_is_right_by_one_of_its_options_and_each_of_them_is_looked_at(truth: Truth) -> None:
    truth.sent(("s1", "p0"), available=1, at=5)
    change(truth, 10, 11, available=0)
    [one] = truth.shown(answer(("s0", "pickup"), ("s1", "ship")), welcome=(), at=14)
    assert (one.gone_s, one.is_wrong, one.wrong_options) == (0, False, [("s0", "pickup", 3)])
    [one] = truth.shown(answer(("s0", "pickup")), welcome=(), at=14)
    assert one.is_wrong
    [one] = truth.shown(answer(("s0", "pickup")), welcome=(), at=12)
    assert not one.is_wrong


@pytest.mark.parametrize(
    ("options", "welcome"),
    [
        ([], ()),
        ([("s0", "ship")], ()),
        ([("s1", "ship")], ()),
        ([("nowhere", "pickup")], ()),
        ([("s0", "pickup")], ("in_store",)),
    ],
)
def test_an_option_that_cannot_be_is_wrong(truth: Truth, options: list[tuple[str, str]], welcome: tuple[str]) -> None:
    [one] = truth.shown(answer(*options), welcome=welcome, at=1)
    assert one.gone_s == inf


def test_a_digest_knows_quantities_and_not_their_order() -> None:
    rows: list[tuple[str, str, float | None]] = [("s0", "p0", 2.0), ("s0", "p1", None)]
    assert digest(iter(rows)) == digest(reversed(rows))
    assert digest(iter(rows)) != digest(iter([("s0", "p0", 1.0), rows[1]]))


def test_an_answer_without_flag_before_the_tables_are_right_is_noticed() -> None:
    looks = [Look(10.0, 10.1, False, 30.0), Look(10.5, 10.6, False, 0.5), Look(11.0, 11.1, True, 0.0)]
    answers = [Answer(9.0, 10.2, True, 3), Answer(9.0, 10.4, False, 1), Answer(11.0, 11.2, False, 0)]
    found = summary(Seen(answers, [], looks), woken_at=10.0)
    assert found["right_after_s"] == 1.1
    assert found["first_answer_without_flag_s"] == 0.4
    assert (found["flagged"], found["flagged_and_wrong"], found["wrong_without_flag"]) == (1, 1, 1)
    assert (found["without_flag_while_tables_were_wrong"], found["tables_wrong_but_fresh"]) == (1, 1)
