"""What the pages promise exists, and what exists is on its page."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import typer

from app.cli import cli
from app.domain import Degraded
from app.offers.terms.conditions import Condition
from app.offers.terms.reasons import ReasonCode
from app.offers.terms.terms import CampaignTerms, Discount, OfferTerms
from app.settings import Settings
from app.stores.sql.accounts.outcomes import AUDIENCE, OFFERS, REDEMPTIONS
from app.telemetry import STAGES, TIMED_ONE_IN, Metrics, PartMetrics
from tests.support.repository import ROOT

DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("benchmarks/*.md"))]


def test_every_setting_is_documented_with_its_default() -> None:
    rows = {cells[0].strip("`"): cells for cells in table_rows(DOCS / "settings.md") if cells[0].startswith("`ENDCAP_")}
    stated = {name: cells[1].strip("`") for name, cells in rows.items()}
    fields = {f"ENDCAP_{name.upper()}": field.default for name, field in Settings.model_fields.items()}
    assert stated == {name: "–" if default is None else str(default) for name, default in fields.items()}
    assert all(len(cells) == 4 and cells[2] and cells[3] for cells in rows.values()), "each row: unit and meaning"


def test_every_error_code_is_documented_and_every_documented_code_exists() -> None:
    headings = set(re.findall(r"^### (\w+)$", (DOCS / "errors.md").read_text(), re.MULTILINE))
    assert headings == {code for path in (ROOT / "app").rglob("*.py") for code in codes_in(path)}


def test_every_reason_is_documented_with_what_helps() -> None:
    rows = list(rows_below("coupon-rules.md", "Reasons"))
    assert {cells[0].strip("`") for cells in rows} == set(ReasonCode)
    assert all(len(cells) == 3 and all(cells) for cells in rows)


def test_every_field_of_offers_and_campaigns_is_documented() -> None:
    for heading, model in (("Fields of an offer", OfferTerms), ("Fields of a campaign", CampaignTerms)):
        rows = {cells[0].strip("`"): cells[2] for cells in rows_below("coupon-rules.md", heading)}
        required = {name for name, field in model.model_fields.items() if field.is_required()}
        assert set(rows) == set(model.model_fields)
        assert {name for name, default in rows.items() if default == "required"} == required


def test_every_discount_and_condition_is_documented() -> None:
    for heading, kinds in (("Discounts", Discount), ("Conditions", Condition)):
        models = get_args(get_args(kinds)[0])
        rows = {cells[0].strip("`"): cells[2] for cells in rows_below("coupon-rules.md", heading)}
        fields = {get_args(model.model_fields["type"].annotation)[0]: set(model.model_fields) for model in models}
        assert set(rows) == set(fields)
        assert all(f"`{field}`" in rows[kind] for kind in rows for field in fields[kind] - {"type"})


def test_every_degradation_is_documented() -> None:
    flags = (DOCS / "degradation.md").read_text().split("## Flags")[1].split("## Fallback levels")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", flags, re.MULTILINE)) == set(Degraded)


def test_every_metric_is_documented() -> None:
    rows = table_rows(DOCS / "operations.md")
    assert {cells[0].strip("`") for cells in rows if cells[0].startswith("`endcap_")} == metric_names()


def test_every_stage_of_a_decision_is_documented() -> None:
    [row] = [cells for cells in table_rows(DOCS / "operations.md") if cells[0] == "`endcap_stage_seconds`"]
    assert f"of one decision in {TIMED_ONE_IN}: {', '.join(STAGES)}" in row[2]


def test_every_table_that_training_learns_coupons_from_is_documented() -> None:
    [row] = [cells for cells in table_rows(DOCS / "operations.md") if cells[0] == "`tables/coupon_*.parquet`"]
    assert set(re.findall(r"`(coupon_\w+)`", row[1])) == {OFFERS, AUDIENCE, REDEMPTIONS}


def test_dashboard_and_alerts_ask_only_for_metrics_that_exist() -> None:
    exposed = exposed_names()
    for path in (ROOT / "deploy" / "grafana-dashboard.json", ROOT / "deploy" / "alerts.yml"):
        used = set(re.findall(r"\bendcap_\w+", path.read_text()))
        assert used, f"{path.name} asks for no metric"
        assert used <= exposed, f"{path.name}: {used - exposed} does not exist"


def test_dashboard_shows_every_metric() -> None:
    expressions = " ".join(
        target["expr"]
        for panel in json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())["panels"]
        for target in panel.get("targets", [])
    )
    assert not [name for name in metric_names() if name not in expressions]


def test_every_alert_says_what_to_do() -> None:
    alerts = set(re.findall(r"alert: (\w+)", (ROOT / "deploy" / "alerts.yml").read_text()))
    assert alerts == {cells[0].strip("`") for cells in table_rows(DOCS / "operations.md") if cells[0][1:7] == "Endcap"}


def test_readme_lists_the_commands_that_exist() -> None:
    commands = set(typer.main.get_command(cli).commands)  # type: ignore[attr-defined]  # cli is a group
    rows = {
        cells[0].strip("`").split()[1] for cells in table_rows(ROOT / "README.md") if cells[0].startswith("`endcap ")
    }
    assert rows == commands


def test_readme_lists_every_page() -> None:
    listed = {link.split("#")[0] for link in links(ROOT / "README.md")}
    pages = [str(page.relative_to(ROOT)) for page in (*DOCS.glob("*.md"), *ROOT.glob("*.md"))]
    assert not [page for page in pages if page not in listed | {"README.md"}]


def test_relative_links_lead_somewhere() -> None:
    broken = [f"{page.relative_to(ROOT)}: {link}" for page in PAGES for link in links(page) if not resolves(page, link)]
    assert not broken


def table_rows(page: Path) -> Iterator[list[str]]:
    """The cells of every table row of a page."""
    for line in page.read_text().splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def rows_below(page: str, heading: str) -> Iterator[list[str]]:
    """The rows of the tables between this heading and the next, those that begin with a name."""
    section = (DOCS / page).read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def codes_in(path: Path) -> Iterator[str]:
    """The error codes that a file states: `code = …`, problem(status, code), Refused(code), a CODES table, …"""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id == "code":
                yield from strings(node.value)
            elif node.targets[0].id == "CODES" and isinstance(node.value, ast.Dict):
                yield from (code for value in node.value.values for code in strings(value))
        elif isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            position = {
                "problem": 1,
                "_problem": 0,
                "RejectedEvent": 0,
                "Refused": 0,
                "RowResult": 2,
                "PlaceOutcome": 1,
            }.get(called)
            if position is not None and len(node.args) > position:
                yield from strings(node.args[position])


def strings(expression: ast.expr) -> Iterator[str]:
    """The strings that an expression may stand for, as far as they are written in it."""
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        yield expression.value
    elif isinstance(expression, ast.IfExp):
        yield from (*strings(expression.body), *strings(expression.orelse))
    elif isinstance(expression, ast.Call):
        yield from (text for argument in expression.args for text in strings(argument))


def metric_names() -> set[str]:
    """Every metric as the page names it."""
    families = [*Metrics().registry.collect(), *PartMetrics().registry.collect()]
    return {f"{family.name}_total" if family.type == "counter" else family.name for family in families}


def exposed_names() -> set[str]:
    """Every name that a query may use."""
    histogram = [f"{name}_{part}" for name in metric_names() for part in ("bucket", "sum", "count")]
    return metric_names() | set(histogram)


def links(page: Path) -> Iterator[str]:
    """Links of a page, those of its drawings too, without images of other sites."""
    text = page.read_text()
    yield from re.findall(r"\]\(([^)\s]+)\)", text)
    yield from re.findall(r'^\s*click \w+ (?:href )?"([^"]+)"', text, re.MULTILINE)


def resolves(page: Path, link: str) -> bool:
    """True for addresses of other sites, and for files and headings that exist."""
    if re.match(r"[a-z]+:", link):
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path) if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
