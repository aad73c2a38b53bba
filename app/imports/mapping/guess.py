"""Guess what the columns of a file mean by their names, as most systems call them."""

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from app.errors import BadInput
from app.imports.columns.words import KIND_COLUMNS, RATING_COLUMNS
from app.imports.mapping.model import ColumnRule, FileForm, Mapping, RowRule

_CUSTOMER = (
    "customer", "customer_code", "customer_number", "customer_no", "cust_id", "cust_code", "cust", "cid", "user_id",
    "user", "userid", "client_id", "client", "member_id", "member", "household_id", "household_key", "household",
    "card_number", "card_no", "loyalty_card", "loyalty_id", "shopper_id", "buyer_id", "visitor_id", "visitorid", "uid",
    "reviewer_id", "person_id", "kunde", "kundennummer", "kunden_id", "kundennr", "id_cliente", "cliente",
    "client_code", "customer_email", "email",
)  # fmt: skip
_PRODUCT = (
    "sku", "item_id", "item_sku", "itemid", "product_code", "product_sku", "product_no", "product_number", "prod_code",
    "prod_id", "article_id", "article", "article_no", "article_number", "stock_code", "stockcode", "item_code",
    "item_number", "item_no", "variant_sku", "lineitem_sku", "upc", "ean", "gtin", "barcode", "asin", "plu", "isbn",
    "material", "artikel", "artikelnummer", "artikel_nr", "product", "item", "id_producto", "codigo_producto",
    "stock_item_id", "goods_id", "movie_id",
)  # fmt: skip
_BASKET = (
    "order_id", "order_no", "order_number", "order_reference", "invoice", "invoice_no", "invoice_id", "invoice_number",
    "receipt_id", "receipt_no", "receipt_number", "receipt", "transaction_id", "transaction_no", "trans_id",
    "transactionid", "bill_no", "bill_id", "ticket_id", "ticket", "ticket_number", "basket", "sale_id", "purchase_id",
    "order", "bestellnummer", "bestellung", "belegnummer", "bon", "bonnummer", "bon_nr",
)  # fmt: skip
_TIME = (
    "time", "date", "datetime", "date_time", "invoice_date", "order_date", "order_datetime", "purchase_date",
    "purchased_at", "created_at", "event_time", "event_timestamp", "transaction_date", "transaction_dt",
    "transaction_time", "transaction_timestamp", "sale_date", "sold_at", "shop_date", "t_dat", "ts", "ordered_at",
    "paid_at", "order_purchase_timestamp", "day", "datum", "bestelldatum", "belegdatum", "kaufdatum", "date_add",
    "order_created_at", "invoicedate", "created", "timestamp_utc", "unix_review_time", "fecha",
)  # fmt: skip

SYNONYMS: dict[str, dict[str, Sequence[str]]] = {
    "transactions": {
        "customer_id": _CUSTOMER,
        "product_id": _PRODUCT,
        "basket_id": _BASKET,
        "timestamp": _TIME,
        "quantity": (
            "qty", "units", "pieces", "quantity_sold", "item_quantity", "units_sold", "menge", "anzahl", "cantidad",
        ),
        "amount": (
            "sales_value", "spend", "line_total", "line_amount", "net_sales", "sales", "sales_amount", "revenue",
            "total_price", "total_amount", "item_total", "line_price", "extended_price", "paid", "turnover", "betrag",
            "umsatz", "gross_sales", "total", "subtotal", "importe",
        ),
        "discount": ("discount_amount", "line_discount", "rabatt", "discounts"),
        "coupon_id": ("coupon", "coupon_code", "discount_code", "voucher", "voucher_code"),
        "store_id": (
            "store", "store_code", "store_no", "store_nbr", "store_number", "shop_id", "branch", "branch_id", "outlet",
            "outlet_id", "location_id", "location", "filiale", "filial_nr", "market",
        ),
        "channel": ("sales_channel", "order_channel", "source_channel"),
        "currency": ("currency_code", "waehrung", "währung"),
        "session_id": ("session", "user_session", "visit_id"),
    },
    "products": {
        "product_id": ("id", *_PRODUCT),
        "name": ("title", "product_name", "product_title", "item_name", "name_1", "bezeichnung", "artikelbezeichnung"),
        "price": ("regular_price", "retail_price", "selling_price", "sale_price", "unit_price", "list_price", "preis"),
        "brand": ("manufacturer", "vendor", "brand_name", "marke", "hersteller"),
        "category": (
            "categories", "product_type", "product_category", "google_product_category", "category_name", "type",
            "kategorie", "warengruppe",
        ),
        "department": ("department_name", "section", "abteilung"),
        "image_url": ("image_link", "image", "image_src", "picture", "bild"),
        "currency": ("currency_code",),
        "unit_cost": ("cost", "cost_price", "wholesale_price", "purchase_price", "einkaufspreis"),
    },
    "stores": {"store_id": ("id", "store", "store_code", "store_no", "store_nbr", "shop_id", "branch_id", "outlet_id")},
}  # fmt: skip
"""By table and column the names that other systems use, the most telling first."""

UNIT_PRICES = (
    "unit_price",
    "unitprice",
    "price",
    "item_price",
    "price_per_unit",
    "sale_price",
    "selling_price",
    "preis",
)
GUESSED = "guessed"
"""The name of a mapping that nobody wrote."""
LIST_OF_PRODUCTS = r" x\d+[|,;].+ x\d+"
RATIO_MAX = 1.0
RATIO_AMOUNT = 10.0


def bare(name: str) -> str:
    """The name in lower case with `_` for all that is no letter or digit."""
    return re.sub(r"[^0-9a-zà-ÿ]+", "_", name.strip().lower()).strip("_")


def _compact(name: str) -> str:
    return bare(name).replace("_", "")


def guess_mapping(path: Path, columns: Sequence[str], table: str, sample: pl.DataFrame) -> Mapping:
    """The mapping by the names of the columns, and where names mislead by the sample's values.

    Raises BadInput where a column says that rows may be no purchases, and nobody knows which.
    """
    found = {name: source for name, source in named_columns(columns, table).items() if source is not None}
    rules: dict[str, ColumnRule] = {name: ColumnRule(column=(source,)) for name, source in found.items()}
    notes = [f"{name} is read from {source}" for name, source in found.items() if name != source]
    kinds: tuple[RowRule, ...] = ()
    if table == "transactions":
        _refuse_lists(path, sample, found.get("product_id"))
        _refuse_ratings(path, columns)
        taken = set(found.values())
        price = _first(columns, UNIT_PRICES, taken)
        if "amount" not in found and price is not None:
            quantity = found.get("quantity")
            rules["amount"] = ColumnRule(product=((price,), (quantity,))) if quantity else ColumnRule(column=(price,))
            notes.append(f"amount is {price} × {quantity}" if quantity else f"amount is read from {price}")
        elif price is not None and "quantity" not in found and _is_count(sample, found.get("amount")):
            raise BadInput(
                f"{path}: {found['amount']} looks like a number of pieces next to {price}; say in a mapping which of "
                f"them is the money: endcap import --preview {path}"
            )
        if "discount" in found and _is_ratio(sample, found["discount"], found.get("amount")):
            del rules["discount"]
            notes.append(
                f"{found['discount']} is left out: all values are between 0 and 1, as of a ratio and not of money"
            )
        kinds = tuple(RowRule(column=name) for name in columns if name in KIND_COLUMNS and name not in taken)
    return Mapping(mapping=1, name=GUESSED, table=table, columns=rules, rows=kinds, notes=tuple(notes), file=FileForm())


def named_columns(columns: Sequence[str], table: str) -> dict[str, str | None]:
    """For each of the table's columns the one of the file that means it, by its name."""
    synonyms = SYNONYMS.get(table, {})
    own = {name: (name if name in columns else None) for name in (*synonyms, *CANONICAL.get(table, ()))}
    taken: set[str] = {name for name in own.values() if name}
    for name, others in synonyms.items():
        if own[name] is None:
            source = _first(columns, (name, *others), taken)
            if source is not None:
                own[name] = source
                taken.add(source)
    return own


CANONICAL: dict[str, Sequence[str]] = {
    "transactions": (
        "customer_id", "product_id", "basket_id", "timestamp", "quantity", "amount", "discount", "coupon_id",
        "store_id", "channel", "currency", "session_id",
    ),
    "products": (
        "product_id", "name", "brand", "department", "category", "price", "unit_cost", "currency", "shelf_life_days",
        "image_url", "recommendable",
    ),
    "stores": ("store_id", "time_zone"),
    "campaigns": ("campaign_id", "name", "funder", "currency", "budget", "starts_at", "ends_at"),
    "offers": ("offer_id", "campaign_id", "product_id", "name", "amount", "percent"),
    "audience": ("campaign_id", "customer_id", "timestamp"),
    "redemptions": ("offer_id", "customer_id", "timestamp", "discount", "channel"),
}  # fmt: skip


def _first(columns: Sequence[str], names: Sequence[str], taken: set[str]) -> str | None:
    by_bare = {_compact(column): column for column in reversed(columns) if column not in taken}
    return next((by_bare[_compact(name)] for name in names if _compact(name) in by_bare), None)


def _refuse_ratings(path: Path, columns: Sequence[str]) -> None:
    rating = _first(columns, RATING_COLUMNS, set())
    if rating is not None:
        raise BadInput(
            f"{path}: column {rating!r} says that rows are opinions, and which are as good as a purchase is yours to "
            "say: --mapping ratings takes those of 4 and more, or write a mapping, see docs/mapping.md"
        )


def _refuse_lists(path: Path, sample: pl.DataFrame, product: str | None) -> None:
    """An order in one line is no product that anybody sells."""
    if product is None or product not in sample.columns or not sample.height:
        return
    several = sample[product].cast(pl.String).str.contains(LIST_OF_PRODUCTS)
    if several.any():
        example = sample[product].filter(several)[0]
        raise BadInput(
            f"{path}: column {product!r} lists several products in one value, as {example}; --mapping order-lists "
            "reads that, or write a mapping with a split, see docs/mapping.md"
        )


def _numbers(sample: pl.DataFrame, name: str) -> pl.Series:
    return (
        sample[name].cast(pl.Float64, strict=False).drop_nulls()
        if name in sample.columns
        else pl.Series([], dtype=pl.Float64)
    )


def _is_count(sample: pl.DataFrame, name: str | None) -> bool:
    if name is None:
        return False
    numbers = _numbers(sample, name)
    return numbers.len() > 0 and bool((numbers == numbers.round()).all()) and bool((numbers.abs() <= 100).all())


def _is_ratio(sample: pl.DataFrame, name: str, amount: str | None) -> bool:
    ratios = _numbers(sample, name)
    if amount is None or not ratios.len() or not ratios.is_between(0, RATIO_MAX).all():
        return False
    discounted = sample.filter(pl.col(name).cast(pl.Float64, strict=False) > 0)
    amounts = _numbers(discounted, amount).median()
    # What takes less than one unit off amounts of ten is no discount that anybody gives.
    return isinstance(amounts, float) and amounts >= RATIO_AMOUNT
