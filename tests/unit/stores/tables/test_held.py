"""Writers of one table take turns, whatever process they are in."""

from pathlib import Path
from threading import Thread

from app.stores.tables.layers import PRODUCTS, LayeredTable


def test_writer_waits_for_the_one_before(tmp_path: Path) -> None:
    table, done = LayeredTable(tmp_path, PRODUCTS), []

    def write() -> None:
        with table.held():
            done.append("second")

    with table.held():
        thread = Thread(target=write)
        thread.start()
        thread.join(0.2)
        done.append("first")
    thread.join()
    assert done == ["first", "second"]
