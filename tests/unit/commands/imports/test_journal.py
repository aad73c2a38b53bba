"""The commands about what came in, as a person or a script calls them."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.cli import run_command
from app.history import History
from app.settings import Settings

STEP_1 = "customer_id,product_id,Order Date,amount\nc1,p1,2026-01-05,5\n"
STEP_2 = "customer_id,product_id,timestamp,amount\nc1,p1,2026-01-05,5\n"
"""The same order, first under a name for its time that nobody knows: it came in without any."""


class Shell:
    """Runs commands on one data directory."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._capsys = folder, capsys

    def run(self, *words: str, status: int = 0) -> tuple[str, str]:
        assert run_command([*words, "--data-dir", str(self._folder / "var")]) == status
        shown = self._capsys.readouterr()
        return shown.out, shown.err

    def facts(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json")[0])

    def bring(self, text: str, *words: str, table: str = "transactions", name: str = "sales.csv") -> str:
        (self._folder / name).write_text(text)
        reports = self.facts("import", f"--{table}", str(self._folder / name), *words)["imports"]
        return str(reports[0]["import_id"])

    def times(self) -> list[str]:
        rows = History(Settings.load(data_dir=self._folder / "var").history_dir).scan().collect()
        return [str(time) for time in rows["time"]]


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


def test_wrong_first_import_is_replaced_and_nothing_doubles(shell: Shell) -> None:
    wrong = shell.bring(STEP_1)
    right = shell.bring(STEP_2, "--replace", wrong)
    assert shell.times() == ["2026-01-05 00:00:00+00:00"]
    listed = {one["import_id"]: one for one in shell.facts("imports")["imports"]}
    assert (listed[wrong]["status"], listed[wrong]["replaced_by"]) == ("replaced", right)
    facts = listed[right]
    assert (facts["status"], facts["file"], facts["mapping"], facts["rows_added"]) == (
        "done",
        "sales.csv",
        "canonical",
        1,
    )
    assert facts["columns"] == ["customer_id", "product_id", "timestamp", "amount"]
    assert facts["first_at"] == facts["last_at"] == "2026-01-05T00:00:00+00:00"
    assert facts["by"]


def test_wrong_first_import_is_undone_and_nothing_doubles(shell: Shell) -> None:
    wrong = shell.bring(STEP_1)
    out, _ = shell.run("imports", "undo", wrong)
    assert out.startswith(f"import {wrong} of sales.csv (transactions) is undone, 1 rows are gone; run `endcap train`")
    assert shell.times() == []
    shell.bring(STEP_2)
    assert shell.times() == ["2026-01-05 00:00:00+00:00"]
    assert shell.facts("imports", "undo", shell.bring(STEP_2))["rows_gone"] == 1


def test_list_for_people_names_what_came_in(shell: Shell) -> None:
    assert shell.run("imports")[0] == "(none)\n"
    wrong = shell.bring(STEP_1)
    right = shell.bring(STEP_2, "--replace", wrong)
    lines = shell.run("imports")[0].splitlines()
    assert any(line.startswith(wrong) and line.rstrip().endswith(f"replaced by {right}") for line in lines)
    (done,) = (line for line in lines if line.startswith(right))
    for words in ("transactions", "sales.csv", "canonical", "2026-01-05", "done"):
        assert words in done


def test_report_of_a_replacement_says_what_follows(shell: Shell, tmp_path: Path) -> None:
    wrong = shell.bring(STEP_1)
    (tmp_path / "sales.csv").write_text(STEP_2)
    out, _ = shell.run("import", "--transactions", str(tmp_path / "sales.csv"), "--replace", wrong)
    assert out.splitlines()[-1].startswith(f"  import {wrong} is replaced; run `endcap train`")


@pytest.mark.parametrize("words", [("--source", "complete-journey"), ("--products", "p.csv", "--stores", "s.csv"), ()])
def test_replacement_takes_one_file(shell: Shell, words: tuple[str, ...]) -> None:
    _, error = shell.run("import", *words, "--replace", "x", status=2)
    assert error.startswith("endcap: --replace takes the place of one import: give it with one file of transactions")


def test_unknown_import_is_one_clear_line(shell: Shell) -> None:
    _, error = shell.run("imports", "undo", "nothing", status=2)
    assert error == "endcap: import 'nothing' is not known; `endcap imports` lists what came in\n"


def test_campaigns_are_listed_and_stay(shell: Shell) -> None:
    text = "campaign_id,starts_at,ends_at\nspring,2026-01-01,2026-02-01\n"
    brought = shell.bring(text, table="campaigns", name="campaigns.csv")
    assert shell.bring(text, table="campaigns", name="campaigns.csv") == brought
    (listed,) = shell.facts("imports")["imports"]
    assert (listed["import_id"], listed["table"], listed["status"]) == (brought, "campaigns", "done")
    assert (listed["rows_added"], listed["rows_known"]) == (1, 0)
    _, error = shell.run("imports", "undo", brought, status=2)
    assert error.startswith(f"endcap: import {brought} brought campaigns into the ledger, where coupons were issued")
    assert "end its campaigns instead" in error
    assert error.count("\n") == 1


def test_campaigns_that_the_ledger_refuses_leave_no_record(shell: Shell, tmp_path: Path) -> None:
    campaigns = "campaign_id,starts_at,ends_at,budget\nspring,2026-01-01,2026-02-01,1\n"
    offers = "offer_id,campaign_id,product_id,amount\nten,spring,*,10\n"
    redemptions = "offer_id,customer_id,timestamp,discount\nten,ann,2026-01-05,10\n"
    files = {"campaigns": campaigns, "offers": offers, "redemptions": redemptions}
    words = ["import"]
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text)
        words += [f"--{name}", str(tmp_path / f"{name}.csv")]
    shell.run(*words, status=2)
    assert [one["table"] for one in shell.facts("imports")["imports"]] == ["campaigns", "offers"]
