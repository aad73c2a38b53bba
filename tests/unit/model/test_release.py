"""Who meets a canary, and what the file of trials says."""

from pathlib import Path

import pytest

from app.domain import subject_of
from app.errors import BundleRefused
from app.model.release import TRIALS, CanaryTrial, ShadowTrial, Trials, read_trials

PEOPLE = [subject_of(f"customer-{number}", None) for number in range(10_000)]


@pytest.mark.parametrize("share_percent", [0.5, 5, 20, 50, 99])
@pytest.mark.parametrize("version", ["20261122T002424.476339Z-681d5a52", "20261122T003241.136361Z-78434263"])
def test_canary_takes_its_share_of_people_within_a_point(version: str, share_percent: float) -> None:
    taken = sum(map(CanaryTrial(version, share_percent).takes, PEOPLE))
    assert abs(100 * taken / len(PEOPLE) - share_percent) < 1


def test_everybody_or_nobody_is_exactly_that() -> None:
    assert all(map(CanaryTrial("v", 100).takes, PEOPLE))
    assert not any(map(CanaryTrial("v", 0).takes, PEOPLE))


def test_larger_share_keeps_the_people_of_a_smaller_one() -> None:
    small, large = ({one for one in PEOPLE if CanaryTrial("v", share).takes(one)} for share in (5, 20))
    assert small < large


def test_another_version_meets_other_people() -> None:
    first, second = ({one for one in PEOPLE if CanaryTrial(version, 50).takes(one)} for version in ("v", "w"))
    assert abs(len(first & second) / len(PEOPLE) - 0.25) < 0.02


def test_trials_read_back_as_written(tmp_path: Path) -> None:
    trials = Trials(CanaryTrial("v", 5.0), ShadowTrial("w", 2.0))
    (tmp_path / TRIALS).write_bytes(trials.document())
    assert read_trials(tmp_path) == trials
    assert trials.versions == {"v", "w"}
    assert trials.without("v") == Trials(None, ShadowTrial("w", 2.0))
    assert trials.without("w") == Trials(CanaryTrial("v", 5.0), None)


def test_no_file_means_no_trials(tmp_path: Path) -> None:
    assert read_trials(tmp_path) == Trials()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"canary": 3, "shadow": null}', '{"canary": {"version": "v"}}'])
def test_broken_file_of_trials_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / TRIALS).write_text(text)
    with pytest.raises(BundleRefused, match=r"trials\.json"):
        read_trials(tmp_path)
