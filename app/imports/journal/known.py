"""What imports knew of rows that nobody has any more: their ids go with them."""

import polars as pl

from app.composition.history import history_of
from app.files import replace_atomically
from app.history.rows import ROW_ID
from app.imports.journal.applied import journal_of
from app.settings import Settings

UNFINISHED = ".tmp-*"


def wait_for_commits(settings: Settings) -> None:
    """Returns once the import that may be about to commit has done so; those after it see who is erased."""
    with journal_of(settings).held():
        pass


def forget_gone_rows(settings: Settings) -> int:
    """Takes the ids of rows that the history lacks out of what imports knew; returns how many. Imports wait."""
    journal, history = journal_of(settings), history_of(settings)
    count = 0
    with journal.held(), history.kept():
        for path in journal.folder.glob(UNFINISHED):
            path.unlink()
        there = history.scan().select(ROW_ID)
        for path in sorted(journal.folder.glob("*.parquet")):
            known = pl.scan_parquet(path)
            left = known.join(there, on=ROW_ID, how="semi").collect(engine="streaming")
            gone = known.select(pl.len()).collect().item() - left.height
            if gone:
                replace_atomically(path, left.write_parquet)
                count += gone
    return count
