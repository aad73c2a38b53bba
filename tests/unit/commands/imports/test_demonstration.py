"""What the demo says of a till's export is what would become of it."""

from datetime import UTC, datetime
from pathlib import Path

from app.commands.imports.demonstration import TITLE, import_parts
from app.settings import Settings


def test_demo_looks_at_an_export_and_writes_nothing(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path / "var")
    parts = [part for part in import_parts(settings, now=datetime(2026, 11, 29, tzinfo=UTC)) if isinstance(part, str)]
    assert parts[0] == TITLE
    assert "Rows: 3 purchase, 1 left out: nothing was bought, 1 refund" in parts
    assert "  1,254.48 EUR in all, refunds taken off" in parts
    assert not (tmp_path / "var").exists()
