"""What the demo shows of imports: a look at a till's export, and the list of what came in."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from app.commands.imports.journal import listing
from app.commands.imports.look import previews
from app.commands.imports.preview_text import preview_parts
from app.commands.text_table import TextTable
from app.imports.run import Sources
from app.settings import Settings

TITLE = "A look at a till's export, whose columns, dates and numbers nobody has explained"
EXPORT = """Kassenbericht Filiale 12;;;;;;

Bonnummer;Datum;Uhrzeit;Kundennummer;Artikelnummer;Menge;Betrag;Status
4711;28.10.2026;09:15;900;1082185;2;3,98;bezahlt
4711;28.10.2026;09:15;900;995242;1;1.249,00;bezahlt
4712;31.10.2026;17:40;;1029743;1;2,59;bezahlt
4713;02.11.2026;11:05;901;1082185;1;1,99;storniert
4714;02.11.2026;11:20;901;995242;-1;1,09;bezahlt
"""


def import_parts(settings: Settings, *, now: datetime) -> Iterator[str | TextTable]:
    """A preview, which writes nothing, and the imports so far."""
    yield TITLE
    with TemporaryDirectory(prefix="endcap-demo-") as folder:
        path = Path(folder) / "kasse.csv"
        path.write_text(EXPORT, encoding="utf-8")
        for preview in previews(settings, Sources(files=(path,)), now=now):
            yield from preview_parts(preview)
    yield TextTable(*listing(settings), title="What came in (endcap imports)")
