"""Links and separations in any order lose no event, double none, exceed no limit, and keep the strictest consent."""

from app.stores.sql.database.engine import Ledger
from tests.invariants.customer_histories import run_histories


def test_every_history_of_customers_ends_as_the_model_says(ledger: Ledger, valkey: str) -> None:
    assert run_histories(ledger, valkey, range(25)) == 25
