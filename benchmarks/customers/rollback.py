"""Whether a ledger keeps working when a new executable takes over a data directory, and the old one takes it back.

    python -m benchmarks.customers.rollback --before ../before/.venv/bin/endcap --data-dir ../before/var

`--data-dir` was made by the executable from before. On a copy of it that one starts, then the new one, then the old
one again, then the new one: each has to know what the others wrote, redeem coupons within one limit, and leave accounts
that `doctor` finds right. What only the new one knows has to be there still when it comes back. Exits with 1 otherwise.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from benchmarks.behaviour.executable import Executable
from benchmarks.support import machine
from tests.support.shop import Shop

TWO_OFF_MINOR = 200
CUSTOMER, CARD = "customer-of-both", "card-of-both"
NEW = Path(sys.executable).with_name("endcap")


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, default=NEW)
    parser.add_argument("--data-dir", type=Path, required=True)
    given = parser.parse_args()
    with TemporaryDirectory(prefix="endcap-rollback-") as folder:
        shutil.copytree(given.data_dir, Path(folder) / "data", ignore=shutil.ignore_patterns("endpoint.json"))
        before, after = (Executable(path.absolute(), Path(folder), {}) for path in (given.before, given.after))
        faults = take_turns(before, after)
    machine.show({"benchmark": "rollback", **machine.facts(), "faults": faults})
    sys.exit(bool(faults))


def take_turns(before: Executable, after: Executable) -> list[str]:
    """What came out otherwise than it has to."""
    faults: list[str] = []

    def expect(found: object, wanted: object, what: str) -> None:
        if found != wanted:
            faults.append(f"{what}: {found!r} and not {wanted!r}")

    with shop_of(before) as shop:
        limits = [{"scope": "customer", "count": 3}]
        offer = shop.offer(shop.campaign(budget_minor=10_000, limits=limits))
        codes = [shop.give(offer, CUSTOMER)["code"] for _ in range(5)]
        first = redeem(shop, codes[0])
    with shop_of(after) as shop:
        expect(len(shop.wallet(CUSTOMER)), 5, "coupons that the new one sees")
        redeem(shop, codes[1])
        shop.put(f"/v1/customers/{CUSTOMER}/identities/loyalty_card/{CARD}", None)
        said = {"status": "granted", "source": "app"}
        shop.put(f"/v1/customers/{CUSTOMER}/consents/personalization", said)
    with shop_of(before) as shop:
        redeem(shop, codes[2])
        refused = shop.redeem(1000, customer_id=CUSTOMER, codes=[codes[3]], status=409)
        expect(refused["code"], "customer_limit_reached", "a fourth redemption with the old one")
        shop.roll_back(first["redemption_id"])
    with shop_of(after) as shop:
        named = f"~loyalty_card:{CARD}"
        expect(len(shop.get(f"/v1/customers/{named}/identities")["identities"]), 2, "identities after the old one")
        history = shop.get(f"/v1/customers/{named}/consents")["history"]
        expect({one["status"] for one in history}, {"granted"}, "consents after the old one")
        redeem(shop, codes[3], customer_id=named)
        shop.redeem(1000, customer_id=named, codes=[codes[4]], status=409)
        discounts = shop.get(f"/v1/customers/{named}/benefits")["discounts"]
        expect([one["amount_minor"] for one in discounts], [3 * TWO_OFF_MINOR], "discounts of three redemptions")
        expect(len(shop.wallet(named)), 5, "coupons by card")
    return faults


@contextmanager
def shop_of(executable: Executable) -> Iterator[Shop]:
    """The running executable; `doctor` has to find its accounts right before it ends."""
    with executable.up() as address, httpx.Client(base_url=address, timeout=30) as client:
        yield Shop(client, "")
        command = [str(executable.path), "doctor", "--data-dir", str(executable.data_dir)]
        said = subprocess.run(command, cwd=executable.folder, capture_output=True, text=True, check=False).stdout
        accounts = [line for line in said.splitlines() if "ledger" in line]
        if not accounts or any("FAIL" in line for line in accounts):
            raise SystemExit(f"{executable.path} doctor: {said}")


def redeem(shop: Shop, code: str, *, customer_id: str = CUSTOMER) -> dict[str, Any]:
    return shop.redeem(1000, customer_id=customer_id, codes=[code])


if __name__ == "__main__":
    main()
