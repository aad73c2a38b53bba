"""A look at stock and prices says what would change, with the stores that come in next to them, and writes nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.commands.imports.look import previews
from app.commands.imports.preview_text import preview_parts
from app.imports.preview.preview import Preview
from app.imports.report import Difference, Differences
from app.imports.run import Sources, run_imports
from app.settings import Settings
from tests.support.world import no_progress

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FILES = {
    "prices.csv": "store_id,product_id,price,currency\nzh,tea,2,CHF\ns1,tea,2,CHF\n,tea,2,\n",
    "stock.csv": "store_id,product_id,quantity\nzh,tea,5\nzh,mug,many\ns9,tea,1\ns1,tea,3\n",
    "stores.csv": "store_id,name,currency\ns1,Mitte,\nzh,Enge,CHF\n",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "var")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, ...]:
    """As a shell names them: the stores last."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    return tuple(tmp_path / name for name in FILES)


def looked(settings: Settings, sources: Sources, *, now: datetime = NOW) -> dict[str, Preview]:
    return {one.table: one for one in previews(settings, sources, now=now)}


def test_first_look_knows_the_stores_of_the_files_next_to_it(settings: Settings, files: tuple[Path, ...]) -> None:
    seen = looked(settings, Sources(files=files))
    assert list(seen) == ["prices", "stock", "stores"]
    assert (dict(seen["stock"].rows), sorted(seen["stock"].refused)) == (
        {"stock": 2},
        ["quantity: not a number: write 1234.56", "store_id: " + _unknown()],
    )
    firsts = (Difference("zh", "tea", None, 5), Difference("s1", "tea", None, 3))
    assert seen["stock"].differences == Differences(0, 2, 0, missing=0, emptied=0, first=firsts)
    assert (dict(seen["prices"].rows), dict(seen["prices"].refused)) == (
        {"prices": 2},
        {"currency: currency_mismatch: CHF is not EUR, the currency of the store": 1},
    )
    assert not settings.data_dir.exists()


def _unknown() -> str:
    return "store_not_found: import it first as --stores, or add it with PUT /v1/stores/{store_id}"


def test_look_at_the_next_night_compares_and_changes_nothing(settings: Settings, files: tuple[Path, ...]) -> None:
    run_imports(settings, Sources(files=files), shift_to_now=False, now=NOW, progress=no_progress)
    before = (settings.data_dir / "ledger.db").read_bytes()
    files[1].write_text("store_id,product_id,quantity\nzh,mug,1\n")
    tomorrow = NOW + timedelta(days=1)
    [seen] = previews(settings, Sources(stock=files[1]), now=tomorrow)
    firsts = (Difference("zh", "mug", None, 1), Difference("zh", "tea", 5, 0))
    assert seen.differences == Differences(0, 1, 0, missing=1, emptied=1, first=firsts)
    assert "  store zh, product tea: 5 → 0" in list(preview_parts(seen))
    assert seen.to_dict()["differences"]
    part = previews(settings, Sources(stock=files[1], partial_stock=True), now=tomorrow)[0]
    assert part.differences == Differences(0, 1, 0, missing=0, emptied=0, first=firsts[:1])
    assert part.command.endswith("--partial-stock")
    assert (settings.data_dir / "ledger.db").read_bytes() == before
