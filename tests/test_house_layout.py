"""The rules that keep the house easy to walk: few files in a folder, tests where their subject is."""

from collections import Counter
from pathlib import Path

from tests.support.repository import tracked

MAX_FILES_IN_A_FOLDER = 15
UNIT_TESTS = Path("tests/unit")
PACKAGES = ("app", "training")


def test_folder_holds_few_enough_files_to_take_in() -> None:
    counts = Counter(str(path.parent) for path in tracked("*.py"))
    full = {folder: count for folder, count in counts.items() if count > MAX_FILES_IN_A_FOLDER}
    assert not full, f"over {MAX_FILES_IN_A_FOLDER} files: {full}; make a room for one noun of the domain"


def test_unit_tests_stand_as_the_packages_that_they_test() -> None:
    subjects = {path.parent for path in tracked(*PACKAGES) if path.suffix == ".py"}
    homes = {Path(*path.parts[1:]) if path.parts[0] == "app" else path for path in subjects}
    lost = [
        str(path)
        for path in tracked(str(UNIT_TESTS))
        if path.name.startswith("test_") and path.parent.relative_to(UNIT_TESTS) not in homes
    ]
    assert not lost, f"{lost}: no package has this path; the tests of app/x/y.py are in tests/unit/x/"
