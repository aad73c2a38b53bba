"""What is left of an erased person in the files of the database: nothing that a tool would find."""

import sqlite3
from contextlib import closing
from functools import partial
from math import inf
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import text

from app.errors import StoreUnavailable
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.erasure.erasing import erase_in_sql
from app.stores.sql.erasure.raw_bytes import flush_ledger
from tests.unit.stores.sql.erasure.people import People, pseudonym_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the ledger of the test lies on SQLite."""
    return tmp_path / "ledger.db"


def left_in(file: Path, secrets: set[str]) -> list[tuple[str, str]]:
    """What stands in one of the three files."""
    files = [one for one in file.parent.iterdir() if one.name.startswith(file.name)]
    return [(one.name, secret) for one in files for secret in secrets if secret.encode() in one.read_bytes()]


def erased_world(ledger: Ledger) -> People:
    people = People(ledger, 300)
    people.live()
    ledger.write(partial(erase_in_sql, keys=people.keys["ada"], pseudonym_of=pseudonym_of, now=people.now))
    return people


def test_no_byte_of_an_erased_person_is_in_the_database_or_its_log(ledger: Ledger, file: Path) -> None:
    people = erased_world(ledger)
    secrets = people.secrets["ada"]
    if ledger.engine.dialect.name == "postgresql":
        assert flush_ledger(ledger, secrets, timeout_s=10)
        return
    assert left_in(file, secrets)
    assert flush_ledger(ledger, secrets, timeout_s=10)
    assert left_in(file, secrets) == []
    assert left_in(file, people.secrets["bob"])


def test_connections_write_over_what_is_deleted(tmp_path: Path) -> None:
    with closing(open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        assert ledger.read(lambda connection: connection.execute(text("PRAGMA secure_delete")).scalar()) == 1


def old_ledger(file: Path) -> Ledger:
    """One from which somebody was deleted before what is deleted was written over."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("CREATE TABLE people (name TEXT)")
        connection.executemany("INSERT INTO people VALUES (?)", [(f"canary-of-old-{n}" * 20,) for n in range(200)])
        connection.commit()
        connection.execute("DELETE FROM people")
        connection.commit()
    return open_ledger(f"sqlite:///{file}")


def test_rows_that_were_deleted_long_ago_are_written_over_when_there_is_room_for_it(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    with closing(old_ledger(file)) as ledger:
        assert left_in(file, {"canary-of-old"})
        assert not flush_ledger(ledger, ["canary-of-old"], timeout_s=10, vacuum_up_to_bytes=1000)
        assert left_in(file, {"canary-of-old"})
        assert flush_ledger(ledger, ["canary-of-old"], timeout_s=10, vacuum_up_to_bytes=inf)
        assert left_in(file, {"canary-of-old"}) == []


def test_text_that_is_too_short_to_be_looked_for_has_the_file_rewritten(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    with closing(old_ledger(file)) as ledger:
        assert flush_ledger(ledger, ["900"], timeout_s=10)
        assert left_in(file, {"canary-of-old"}) == []


def test_log_is_emptied_once_a_reader_has_ended(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    with closing(old_ledger(file)) as ledger, closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM people").fetchall()
        ledger.write(lambda connection: connection.execute(text("INSERT INTO people VALUES ('somebody else')")))
        begun = monotonic()
        with pytest.raises(StoreUnavailable, match="reads the ledger for long"):
            flush_ledger(ledger, ["nowhere-at-all"], timeout_s=0.5)
        # While a checkpoint waits for readers nobody writes, so it waits for moments.
        assert monotonic() - begun < 10
        ledger.write(lambda connection: connection.execute(text("INSERT INTO people VALUES ('one more')")))
        reader.execute("COMMIT")
        assert flush_ledger(ledger, ["nowhere-at-all"], timeout_s=10)
        assert (tmp_path / "ledger.db-wal").stat().st_size == 0
