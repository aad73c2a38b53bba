"""What systems call the columns of Endcap's tables, and how a file's names are matched with that."""

import re
from collections.abc import Sequence

from app.places.store_rows import COLUMNS as STORE_COLUMNS

_CUSTOMER = (
    "customer", "customer_code", "customer_number", "customer_no", "cust_id", "cust_code", "cust", "cid", "user_id",
    "user", "userid", "client_id", "client", "member_id", "member", "household_id", "household_key", "household",
    "card_number", "card_no", "loyalty_card", "loyalty_id", "shopper_id", "buyer_id", "visitor_id", "visitorid", "uid",
    "reviewer_id", "person_id", "kunde", "kundennummer", "kunden_id", "kundennr", "id_cliente", "cliente",
    "client_code", "buyer", "profile_id", "customer_account", "cust_account", "customer_email", "buyer_email",
    "contact_email", "customer_key", "contact_id", "distinct_id", "kunden_nr", "email",
)  # fmt: skip
_PRODUCT = (
    "sku", "item_id", "item_sku", "itemid", "product_code", "product_sku", "product_no", "product_number", "prod_code",
    "prod_id", "article_id", "article", "article_no", "article_number", "stock_code", "stockcode", "item_code",
    "item_number", "item_no", "variant_sku", "lineitem_sku", "upc", "ean", "gtin", "barcode", "asin", "plu", "isbn",
    "material", "artikel", "artikelnummer", "artikel_nr", "product", "item", "id_producto", "codigo_producto",
    "stock_item_id", "goods_id", "movie_id", "listing_id", "item_name", "product_name", "artikelbezeichnung",
)  # fmt: skip
_BASKET = (
    "order_id", "order_no", "order_number", "order_reference", "invoice", "invoice_no", "invoice_id", "invoice_number",
    "receipt_id", "receipt_no", "receipt_number", "receipt", "transaction_id", "transaction_no", "trans_id",
    "transactionid", "bill_no", "bill_id", "ticket_id", "ticket", "ticket_number", "basket", "sale_id", "purchase_id",
    "order", "amazon_order_id", "bestellnummer", "bestellung", "belegnummer", "bon", "bonnummer", "bon_nr", "number",
    "increment_id", "auftragsnummer", "rechnungsnummer", "document_no", "order_key",
)  # fmt: skip
_TIME = (
    "date", "datetime", "date_time", "invoice_date", "order_date", "order_datetime", "purchase_date",
    "purchased_at", "created_at", "event_time", "event_timestamp", "transaction_date", "transaction_dt",
    "transaction_time", "transaction_timestamp", "sale_date", "sold_at", "shop_date", "t_dat", "ts", "ordered_at",
    "paid_at", "order_purchase_timestamp", "day", "datum", "bestelldatum", "belegdatum", "kaufdatum", "date_add",
    "order_created_at", "date_created", "date_added", "date_paid",
    "completed_time", "completed_at", "auftragsdatum", "rechnungsdatum", "posting_date", "order_ts", "payment_date",
    "order_time", "invoicedate", "created", "timestamp_utc", "unix_review_time", "fecha", "time",
)  # fmt: skip
_STORE = (
    "store", "store_code", "store_no", "store_nbr", "store_number", "shop_id", "branch", "branch_id", "branch_code",
    "branch_no", "branch_number", "outlet", "outlet_id", "location_id", "location_code", "location", "filiale",
    "filial_nr", "filialnummer", "filial_id", "market", "markt", "marktnummer",
)  # fmt: skip
_WAREHOUSE = (
    "warehouse", "warehouse_id", "warehouse_code", "source_code", "site", "site_id", "plant", "depot", "werk", "lager",
    "lager_id", "lagerort",
)  # fmt: skip
_PRICE = ("regular_price", "retail_price", "selling_price", "sale_price", "unit_price", "list_price", "preis")
_AVAILABLE = (
    "available", "available_quantity", "available_qty", "qty_available", "quantity_available", "available_stock",
    "stock_available", "free_stock", "verfügbar", "verfuegbar", "verfügbarer_bestand", "verfuegbarer_bestand",
)  # fmt: skip
_ON_HAND = (
    "on_hand", "quantity_on_hand", "qty_on_hand", "on_hand_quantity", "on_hand_qty", "onhand", "soh", "stock",
    "stock_on_hand", "stock_level", "stock_quantity", "stock_qty", "quantity_in_stock", "in_stock", "current_stock",
    "inventory", "inventory_level", "inventory_quantity", "inventory_qty", "bestand", "lagerbestand", "bestandsmenge",
    "lagermenge", "filialbestand", "existencias",
)  # fmt: skip

SYNONYMS: dict[str, dict[str, Sequence[str]]] = {
    "transactions": {
        "customer_id": _CUSTOMER,
        "product_id": _PRODUCT,
        "basket_id": _BASKET,
        "timestamp": _TIME,
        "quantity": (
            "qty", "units", "pieces", "quantity_sold", "item_quantity", "units_sold", "menge", "anzahl", "cantidad",
            "quantity_purchased", "quantity_ordered", "qty_ordered", "qty_sold", "units_ordered", "stück",
        ),
        "amount": (
            "sales_value", "spend", "line_total", "line_amount", "net_sales", "sales", "sales_amount", "revenue",
            "total_price", "item_total", "line_price", "paid", "turnover", "betrag",
            "umsatz", "gross_sales", "total_revenue", "item_revenue", "line_item_total", "product_total_price",
            "importe", "extended_amount", "extended_price", "ext_price", "total_spent", "gesamtbetrag", "gesamtpreis",
            "gesamtbetrag_brutto", "zeilensumme",
        ),
        "discount": ("discount_amount", "line_discount", "rabatt", "discounts"),
        "coupon_id": ("coupon", "coupon_code", "discount_code", "voucher", "voucher_code"),
        "store_id": _STORE,
        "channel": ("sales_channel", "order_channel", "source_channel"),
        "currency": ("currency_code", "order_currency", "order_currency_code", "waehrung", "währung"),
        "session_id": ("session", "user_session", "visit_id"),
    },
    "products": {
        "product_id": ("id", *_PRODUCT),
        "name": ("title", "product_name", "product_title", "item_name", "name_1", "bezeichnung", "artikelbezeichnung"),
        "price": _PRICE,
        "brand": ("manufacturer", "vendor", "brand_name", "marke", "hersteller"),
        "category": (
            "categories", "product_type", "product_category", "google_product_category", "category_name", "type",
            "kategorie", "warengruppe",
        ),
        "department": ("department_name", "section", "abteilung"),
        "image_url": ("image_link", "image", "image_src", "picture", "bild"),
        "url": ("link", "product_url", "product_link", "permalink", "canonical_url", "product_page", "produktlink"),
        "rating": ("average_rating", "avg_rating", "rating_value", "rating_average", "product_rating", "bewertung"),
        "rating_count": (
            "review_count", "ratings_count", "reviews_count", "number_of_ratings", "number_of_reviews", "num_ratings",
            "num_reviews", "anzahl_bewertungen",
        ),
        "currency": ("currency_code",),
        "unit_cost": ("cost", "cost_price", "wholesale_price", "purchase_price", "einkaufspreis"),
        "competitor_price": ("competitors_price", "competition_price", "wettbewerbspreis", "konkurrenzpreis"),
        "age_restricted": ("is_age_restricted", "age_restriction", "age_check", "age_verification", "jugendschutz"),
    },
    "stores": {
        "store_id": ("id", *_STORE),
        "name": ("store_name", "branch_name", "outlet_name", "shop_name", "location_name", "filialname", "bezeichnung"),
        "latitude": ("lat", "breitengrad"),
        "longitude": ("lon", "lng", "long", "längengrad", "laengengrad"),
        "time_zone": ("timezone", "tz", "zeitzone"),
        "currency": ("currency_code", "waehrung", "währung"),
    },
    "stock": {
        "store_id": (*_STORE, *_WAREHOUSE),
        "product_id": _PRODUCT,
        # What can be had before what is there: some of that is for somebody already.
        "quantity": (*_AVAILABLE, *_ON_HAND, "qty", "pieces", "menge", "anzahl", "stück", "stueck"),
        # No mere date: whether that is the day's begin or its end nobody knows.
        "as_of": ("counted_at", "snapshot_at", "snapshot_time", "stock_time", "exported_at", "export_time"),
    },
    "prices": {
        "store_id": (*_STORE, *_WAREHOUSE),
        "product_id": _PRODUCT,
        "price": (*_PRICE, "gross_price", "verkaufspreis", "vk_preis", "vkpreis", "vk", "bruttopreis"),
        "currency": ("currency_code", "waehrung", "währung"),
        "valid_from": (
            "valid_since", "effective_from", "effective_date", "effective_at", "gueltig_ab", "gültig_ab", "gültig_von",
            "gueltig_von",
        ),
    },
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
CANONICAL: dict[str, Sequence[str]] = {
    "transactions": (
        "customer_id", "product_id", "basket_id", "timestamp", "quantity", "amount", "discount", "coupon_id",
        "store_id", "channel", "currency", "session_id",
    ),
    "products": (
        "product_id", "name", "brand", "department", "category", "price", "unit_cost", "competitor_price", "currency",
        "shelf_life_days",
        "image_url", "url", "rating", "rating_count", "recommendable", "age_restricted",
    ),
    "stores": STORE_COLUMNS,
    "stock": ("store_id", "product_id", "quantity", "as_of"),
    "prices": ("store_id", "product_id", "price", "currency", "valid_from"),
    "promotions": ("product_id", "store_id", "starts_at", "ends_at", "display", "flyer"),
    "campaigns": ("campaign_id", "name", "funder", "currency", "budget", "starts_at", "ends_at"),
    "offers": ("offer_id", "campaign_id", "product_id", "name", "amount", "percent"),
    "audience": ("campaign_id", "customer_id", "timestamp"),
    "redemptions": ("offer_id", "customer_id", "timestamp", "discount", "channel"),
}  # fmt: skip


TOTALS = ("total", "total_amount", "subtotal", "amount_total", "order_total", "sum")
"""Amounts that are those of a line in one system, and in another those of the whole order in each of its lines."""
TIMES_OF_DAY = ("time", "uhrzeit", "time_of_day", "sale_time", "order_time", "transaction_time", "hora")
"""What stands next to a date."""
SELLERS = {"seller", "vendor", "merchant", "supplier"}
_ITS = re.compile(r"^(line_?item|order_line|item|product|artikel)_")
_UNIT = re.compile(r"\(([^)]*)\)")


def bare(name: str) -> str:
    """The name in lower case with `_` for all that is no letter or digit, without what stands in brackets."""
    return re.sub(r"[^0-9a-zà-ÿ]+", "_", _UNIT.sub("", name).strip().lower()).strip("_")


def unit(name: str) -> str:
    """What stands in brackets in the name, as the currency of an amount."""
    found = _UNIT.search(name)
    return found.group(1).strip().upper() if found else ""


def first_named(columns: Sequence[str], names: Sequence[str], taken: set[str]) -> str | None:
    """The first column that has one of the names, the most telling name first; `taken` ones are left out.

    A name counts also as the last of several joined by points, and after "item" or "product": Item SKU is a SKU.
    """
    for form in _FORMS:
        by_form = {form(column): column for column in reversed(columns) if column not in taken}
        found = next((by_form[_whole(name)] for name in names if _whole(name) in by_form), None)
        if found is not None:
            return found
    return None


def is_of_line(name: str) -> bool:
    """Whether the name says that it is about one line or product, as Item Total."""
    return _ITS.match(bare(name)) is not None


def _whole(name: str) -> str:
    return bare(name).replace("_", "")


def _last(name: str) -> str:
    of, _, last = name.rpartition(".")
    # The seller's address is not the customer's.
    return _whole(name if SELLERS.intersection(bare(of).split("_")) else last)


def _own(name: str) -> str:
    own = _ITS.sub("", bare(name.rpartition(".")[2])).replace("_", "")
    # The number of an article is none of an order.
    return _last(name) if own == "number" else own


_FORMS = (_whole, _last, _own)


def named_columns(columns: Sequence[str], table: str) -> dict[str, str | None]:
    """For each of the table's columns the one of the file that means it, by its name."""
    synonyms = SYNONYMS.get(table, {})
    own = {name: (name if name in columns else None) for name in (*synonyms, *CANONICAL.get(table, ()))}
    taken: set[str] = {name for name in own.values() if name}
    for name, others in synonyms.items():
        if own[name] is None:
            source = first_named(columns, (name, *others), taken)
            if source is not None:
                own[name] = source
                taken.add(source)
    return own


SOLD = ("customer_id", "basket_id", "timestamp", "amount", "discount")
DESCRIBED = ("brand", "department", "category", "image_url")
"""What is said of a sale, and of a product itself."""
STATES = ("availability", "stock_status", "verfügbarkeit")
"""Columns that only a list of stock has."""


def is_of_stores(columns: Sequence[str], table: str) -> bool:
    """Whether columns that a table of stock or prices has are of single stores, and not of sales or of a catalogue."""
    of_table, sold = named_columns(columns, table), named_columns(columns, "transactions")
    described = named_columns(columns, "products")
    if of_table["store_id"] is None or any(described[name] for name in DESCRIBED):
        return False
    if table == "prices":
        return not any(sold[name] for name in (*SOLD, "quantity"))
    words = {_whole(name) for name in (*_AVAILABLE, *_ON_HAND)}
    if _whole(of_table["quantity"] or "") in words or first_named(columns, STATES, set()) is not None:
        return not any(sold[name] for name in ("customer_id", "basket_id", "amount"))
    return not any(sold[name] for name in SOLD) and first_named(columns, UNIT_PRICES, set()) is None
