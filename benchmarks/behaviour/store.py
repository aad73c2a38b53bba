"""The shop of the recording: people, products, prices, placements and instants, the same in every recording."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

PRICES, NEW_PRODUCTS, PLACEMENTS = "prices.csv", "new-products.csv", "placements.json"

PRODUCT_IDS = (
    "1082185", "981760", "995242", "1029743", "1127831", "840361", "826249", "1098066", "995785", "883404",
    "904360", "961554", "5978656", "866211", "1004906", "916122", "1044078", "844179", "962568", "878996",
    "1081177", "860776", "1133018", "854852", "994928", "923746", "1106523", "859075", "1068719", "5569230",
    "849843", "908531", "1096036", "834484", "979707", "1033142", "5978648", "914190", "833025", "903325",
)  # fmt: skip
"""The Complete Journey's most bought products; they have list prices, every other product has none."""
NEW_PRODUCT_IDS = tuple(f"new-{number}" for number in range(1, 7))
"""Products that come into the table after the training."""
STORE_IDS = ("286", "292", "31401", "367", "406", "no-such-store")
CUSTOMER_IDS = tuple(str(number) for number in range(1, 2500, 41))
"""Households of the Complete Journey, spread over all of them."""
HOLDER_IDS = CUSTOMER_IDS[:24]
"""Those of them who get coupons."""
PRICED_IDS = CUSTOMER_IDS[24:28]
"""Others who get coupons, of products with a list price and a cost alone. Of unknown margins all count as 0, and among
equals the random coupon id decides: nobody else gets a question under the objective margin."""
GOLD_IDS = HOLDER_IDS[::4]
UNKNOWN_IDS = ("unknown-1", "unknown-2", "unknown-3")

BEFORE_THE_END = "2017-12-15T18:30:00Z"
AFTER_THE_END = "2018-01-01T09:00:00Z"
"""Some hours after the last purchase of the history: the features are fresh."""
NEXT_DAYS = "2018-01-03T17:00:00Z"
LATE = "2018-01-20T08:00:00Z"
"""The features are older than they may be."""


def price_minor(number: int) -> int:
    """What the product at this position of PRODUCT_IDS costs."""
    return 99 + 35 * number


def write_prices(path: Path) -> Path:
    """A price list of the known products."""
    rows = [(product_id, price_minor(number)) for number, product_id in enumerate(PRODUCT_IDS)]
    head = ("product_id", "price", "unit_cost", "currency")
    return _write(path, head, [(one, _major(price), _major(price * 6 // 10), "USD") for one, price in rows])


def write_new_products(path: Path) -> Path:
    """New products, a changed price, and one that is not to be shown any more."""
    head = ("product_id", "name", "brand", "department", "category", "price", "unit_cost", "currency", "recommendable")
    departments = ("PRODUCE", "GROCERY", "DELI")
    rows = [
        (one, f"New fruit {one}", "Private", departments[number % 3], "TROPICAL FRUIT", "1.99", "1.10", "USD", "yes")
        for number, one in enumerate(NEW_PRODUCT_IDS)
    ]
    bananas = (PRODUCT_IDS[0], "Bananas, 40 lb", "National", "PRODUCE", "TROPICAL FRUIT", "0.79", "0.40", "USD", "yes")
    celery = (PRODUCT_IDS[18], "Celery", "National", "PRODUCE", "VEGETABLES - ALL OTHERS", "1.09", "0.5", "USD", "no")
    return _write(path, head, [*rows, bananas, celery])


def write_placements(path: Path) -> Path:
    """The default placements, and some that set everything that a placement may set."""
    defaults = ("app_home", "web_home", "product_page", "cart", "in_aisle", "email", "push", "kiosk", "till")
    private, wine = (
        {"attribute": name, "values": [value]} for name, value in (("brand", "Private"), ("department", "SPIRITS"))
    )
    placements: dict[str, dict[str, object]] = {name: {} for name in defaults}
    placements |= {
        "till": {"size": 3, "new_products": 0, "coupon_places": 2},
        "weekly": {"size": 20, "max_coupons": 6, "coupon_places": 3, "diversity": 0.3, "max_per_category": 2},
        "margin": {"objective": "margin", "max_per_brand": 6, "exclude": [wine, {"product_ids": [PRODUCT_IDS[13]]}]},
        "revenue": {"objective": "revenue", "boost": [private | {"factor": 1.5}]},
        "arranged": {
            "boost": [private | {"factor": 2.0}],
            "bury": [{"product_ids": list(PRODUCT_IDS[1:3]), "factor": 0.2}],
            "pin": [{"product_id": PRODUCT_IDS[5], "rank": 3}, {"product_id": PRODUCT_IDS[20], "rank": 9}],
            "fallback": list(PRODUCT_IDS[:5]),
        },
        "no_coupons": {"max_coupons": 0, "coupon_places": 0},
    }  # fmt: skip
    path.write_text(json.dumps(placements))
    return path


PLACEMENT_NAMES = (
    "app_home", "web_home", "product_page", "cart", "in_aisle", "email", "push", "kiosk", "till",
    "weekly", "margin", "revenue", "arranged", "no_coupons",
)  # fmt: skip


def _write(path: Path, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def _major(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"
