"""The live bundle keeps serving whatever lies in the bundles folder."""

from pathlib import Path

from app.model.reloader import LiveBundle


def test_pointer_that_cannot_be_read_is_a_refusal_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "current").mkdir()
    refused: list[str] = []
    live = LiveBundle(tmp_path, tables_dir=tmp_path, warm=lambda _: None, on_refused=refused.append)
    assert live.refresh() is False
    assert refused == ["pointer"]
    assert "IsADirectoryError" in (live.problem or "")
