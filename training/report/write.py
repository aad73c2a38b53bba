"""An evaluation becomes one page for people and one document for machines: the last step of judging."""

import json
import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from training.evaluation.results import Findings
from training.release.bundle_facts import Learned, learned_of
from training.report import sections as chapters
from training.report.page import page, paragraph

SCHEMA_VERSION = 1


def write_report(reports_dir: Path, bundle_folder: Path, findings: Findings) -> Path:
    """Writes `<version>.json` and `<version>.html` and returns the latter; each appears whole or not at all.

    Raises ValueError on a figure that is no number.
    """
    learned = learned_of(bundle_folder)
    document, shown = json_document(learned, findings), html_document(learned, findings)
    reports_dir.mkdir(parents=True, exist_ok=True)
    _replace(reports_dir / f"{learned.version}.json", document)
    target = reports_dir / f"{learned.version}.html"
    _replace(target, shown)
    return target


def json_document(learned: Learned, findings: Findings) -> str:
    """Everything of the page, and more, in plain JSON; instants in ISO 8601."""
    facts = {"schema_version": SCHEMA_VERSION, "bundle": asdict(learned), "findings": asdict(findings)}
    return json.dumps(facts, ensure_ascii=False, allow_nan=False, indent=1, default=datetime.isoformat)


def html_document(learned: Learned, findings: Findings) -> str:
    """The page; the same bytes for the same findings."""
    lead = paragraph(
        f"Bundle {learned.version}, made {learned.created_at[:16].replace('T', ' at ')} UTC, source {learned.commit}."
    )
    return page(
        "Evaluation", lead + paragraph(chapters.protocol_in_words(findings)), chapters.all_of(learned, findings)
    )


def _replace(path: Path, text: str) -> None:
    waiting = path.with_name(f".tmp-{uuid4().hex}")
    try:
        with waiting.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        waiting.replace(path)
    finally:
        waiting.unlink(missing_ok=True)
