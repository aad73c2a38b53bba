"""What taking an import back leaves in the history: its rows that other imports hold as well, which then own them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from app.history.rows import IMPORT_ID, ROW_ID
from app.imports.staging import opened_database, with_every_column

OWNER = "owner"


class Removal:
    """The removal of import `gone`, with its files in `folder`.

    `others` are the live imports in their order, each with the file of what it knew: rows that another had brought.
    The first that knew a row of the one that goes owns it from now on.
    """

    def __init__(self, folder: Path, gone: str, others: Sequence[tuple[str, Path]]) -> None:
        self._folder = folder
        self._gone = gone
        self._database = opened_database(folder)
        self._database.execute(f"create table known ({ROW_ID} varchar, {OWNER} varchar, place integer)")
        for place, (import_id, path) in enumerate(others):
            if path.exists():
                query = f"insert into known select {ROW_ID}, $id, $place from read_parquet($path)"
                self._database.execute(query, {"id": import_id, "place": place, "path": str(path)})
        self.gone_count = 0

    @property
    def kept(self) -> Path:
        """The file of the ids of rows that stay, each with its `import_id` from now on."""
        return self._folder / "kept.parquet"

    def look_up(self, files: Sequence[str]) -> tuple[str, ...]:
        """Finds the rows that stay; returns the imports that own them from now on."""
        given = {"files": with_every_column(files, self._folder), "gone": self._gone}
        mine = f"select {ROW_ID} from read_parquet($files, union_by_name = true) where {IMPORT_ID} = $gone"
        self._database.execute(f"create or replace table mine as {mine}", given)
        self._database.execute(f"""
            create or replace table kept as
            select {ROW_ID}, arg_min({OWNER}, place) as {IMPORT_ID}
            from known semi join mine using ({ROW_ID}) group by {ROW_ID}
        """)
        self._database.execute(f"copy kept to '{self.kept}' (format parquet)")
        (counts,) = self._database.execute("select (select count(*) from mine), (select count(*) from kept)").fetchall()
        self.gone_count = counts[0] - counts[1]
        owners = self._database.execute(f"select distinct {IMPORT_ID} from kept order by all").fetchall()
        return tuple(owner for (owner,) in owners)

    def remaining(self, files: Sequence[str], imports: Sequence[str]) -> Iterator[pl.DataFrame]:
        """In batches, every row of these imports once those that stay have their new owners."""
        if not imports:
            return
        query = f"""
            select rows.* replace (coalesce(kept.{IMPORT_ID}, rows.{IMPORT_ID}) as {IMPORT_ID})
            from read_parquet($files, union_by_name = true) as rows
            left join kept on rows.{ROW_ID} = kept.{ROW_ID} and rows.{IMPORT_ID} = $gone
            where kept.{IMPORT_ID} is not null or rows.{IMPORT_ID} in (select unnest($imports))
        """
        given = {"files": with_every_column(files, self._folder), "gone": self._gone, "imports": list(imports)}
        for batch in pa.RecordBatchReader.from_stream(self._database.cursor().sql(query, params=given)):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield frame

    def close(self) -> None:
        """Frees what it holds."""
        self._database.close()
