"""The migrations make exactly the tables that the code names, once, whoever starts first."""

import logging
import multiprocessing
import re
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from app.errors import BadSetting
from app.stores.sql.database import schema
from app.stores.sql.database.customer_tables import identities
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.database.place_tables import stock

assert identities.metadata is stock.metadata
metadata = stock.metadata
"""All tables: those of places and customers join those of the ledger."""
ADDED = "alembic_additions"
"""Where alembic keeps which additions are in; it leaves its other table out by itself."""
LOGGER = "app.stores.sql.database.schema"


def test_upgrade_of_an_empty_database_makes_the_tables_the_code_names(empty_ledger_url: str) -> None:
    ledger = open_ledger(empty_ledger_url)
    schema.upgrade(ledger)
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": lambda name, *_: name != ADDED})
        assert compare_metadata(context, metadata) == []
    ledger.close()


def test_upgrade_makes_the_checks_the_code_names(tmp_path: Path) -> None:
    migrated, stated = (open_ledger(f"sqlite:///{tmp_path / name}.db") for name in ("migrated", "stated"))
    schema.upgrade(migrated)
    metadata.create_all(stated.engine)
    made, named = inspect(migrated.engine), inspect(stated.engine)
    for table in metadata.tables:
        assert made.get_check_constraints(table) == named.get_check_constraints(table)
    for ledger in (migrated, stated):
        ledger.close()


def test_second_upgrade_does_nothing(empty_ledger_url: str, caplog: pytest.LogCaptureFixture) -> None:
    ledger = open_ledger(empty_ledger_url)
    with caplog.at_level(logging.INFO, LOGGER):
        assert not schema.is_current(ledger)
        schema.upgrade(ledger)
        assert schema.is_current(ledger)
        schema.upgrade(ledger)
    messages = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert messages == ["ledger migrated"]
    ledger.close()


def test_processes_that_start_at_once_migrate_once(empty_ledger_url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(3)
    starters = [spawn.Process(target=upgrade_together, args=(empty_ledger_url, barrier)) for _ in range(3)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join(timeout=60)
    assert [starter.exitcode for starter in starters] == [0, 0, 0]
    ledger = open_ledger(empty_ledger_url)
    assert schema.is_current(ledger)
    ledger.close()


def test_database_of_a_newer_endcap_is_refused_in_one_line(ledger: Ledger) -> None:
    ledger.write(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(BadSetting, match="schema 9999") as refused:
        schema.upgrade(ledger)
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("statement", ["UPDATE budget_ledger SET amount_minor = 0", "DELETE FROM budget_ledger"])
def test_entries_of_the_budget_ledger_can_neither_be_changed_nor_deleted(ledger: Ledger, statement: str) -> None:
    ledger.write(lambda connection: connection.exec_driver_sql(CAMPAIGN) and connection.exec_driver_sql(ENTRY))
    with pytest.raises(DBAPIError, match="append-only"):
        ledger.write(lambda connection: connection.exec_driver_sql(statement))
    with ledger.engine.connect() as connection:
        assert connection.execute(text("SELECT amount_minor FROM budget_ledger")).scalars().all() == [500]


@pytest.mark.parametrize(
    ("folder", "head", "form"), [("migrations", schema.HEAD, "[0-9]{4}"), ("additions", schema.ADDITIONS, "a[0-9]{3}")]
)
def test_stated_head_is_the_last_revision(folder: str, head: str, form: str) -> None:
    config = Config()
    config.set_main_option("script_location", f"app.stores.sql.database:{folder}")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == head
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert all(re.fullmatch(form, revision) for revision in revisions), "they are compared as text"


def test_additions_of_a_newer_endcap_are_no_hindrance(ledger: Ledger) -> None:
    ledger.write(lambda connection: connection.execute(text(f"UPDATE {ADDED} SET version_num = 'a999'")))
    assert schema.is_current(ledger)
    schema.upgrade(ledger)


def test_endcap_from_before_the_additions_knows_the_database_as_its_own(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == ["0005"]


CAMPAIGN = """
    INSERT INTO campaigns (campaign_id, status, terms, funder, currency, spent_minor, held_minor, revision, created_at,
                           updated_at)
    VALUES ('spring', 'draft', '{}', 'retailer', 'EUR', 0, 0, 1, '2026-11-22 08:00:00', '2026-11-22 08:00:00')
"""
ENTRY = """
    INSERT INTO budget_ledger (campaign_id, kind, amount_minor, funder, entered_at)
    VALUES ('spring', 'budget', 500, 'retailer', '2026-11-22 08:00:00')
"""


def upgrade_together(url: str, barrier: Barrier) -> None:
    """One process of several that start at the same moment."""
    ledger = open_ledger(url)
    barrier.wait()
    schema.upgrade(ledger)
    ledger.close()
