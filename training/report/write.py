"""An evaluation becomes one page for people and one document for machines: the last step of an evaluation."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from app.files import replace_durably
from training.evaluation.results import EvaluationResults
from training.release.bundle_facts import BundleFacts, read_bundle_facts
from training.report import sections
from training.report.page import page, paragraph
from training.report.shop import shop_in_words

SCHEMA_VERSION = 1


def write_report(reports_dir: Path, bundle_folder: Path, results: EvaluationResults) -> Path:
    """Writes `<version>.json` and `<version>.html` and returns the latter; each appears whole or not at all.

    Raises ValueError on a figure that is no number.
    """
    facts = read_bundle_facts(bundle_folder)
    # Both before either is written: a figure that is no number leaves no half report behind.
    report, shown = json_document(facts, results), html_document(facts, results)
    reports_dir.mkdir(parents=True, exist_ok=True)
    replace_durably(reports_dir / f"{facts.version}.json", report.encode())
    target = reports_dir / f"{facts.version}.html"
    replace_durably(target, shown.encode())
    return target


def json_document(facts: BundleFacts, results: EvaluationResults) -> str:
    """Everything of the page, and more, in plain JSON; instants in ISO 8601."""
    document = {"schema_version": SCHEMA_VERSION, "bundle": asdict(facts), "results": asdict(results)}
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1, default=datetime.isoformat)


def html_document(facts: BundleFacts, results: EvaluationResults) -> str:
    """The page; the same bytes for the same results."""
    lead = paragraph(
        f"Bundle {facts.version}, made {facts.created_at[:16].replace('T', ' at ')} UTC, source {facts.commit}."
    )
    lead += paragraph(sections.protocol_in_words(results)) + paragraph(shop_in_words(results))
    return page("Evaluation", lead, sections.all_sections(facts, results))
