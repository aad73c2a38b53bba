"""Columns as shops export stock and prices: what a file is, and which column is what, by the names alone."""

from pathlib import Path

import pytest

from app.errors import BadInput
from app.imports.plan import Plan, plan_of


def planned(folder: Path, head: str, *, table: str | None = None) -> Plan:
    """How a file with these columns comes in."""
    path = folder / "file.csv"
    path.write_text(head + "\n" + ",".join("1" for _ in head.split(",")) + "\n", encoding="utf-8")
    return plan_of(path, table, time_zone="UTC")


def columns_of(plan: Plan) -> dict[str, str]:
    """Endcap's columns by those of the file."""
    return {source: name for name, rule in plan.mapping.columns.items() for source in rule.sources()}


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("store_id,product_id,quantity,as_of", "store_id product_id quantity as_of"),
        ("Branch,Item,Qty", "store_id product_id quantity"),
        ("Location,SKU,On Hand", "store_id product_id quantity"),
        ("Filial-Nr.,Artikelnummer,Lagerbestand", "store_id product_id quantity"),
        ("Filiale,Artikel,Bestand", "store_id product_id quantity"),
        ("Lager,Artikel-Nr.,Verfügbarer Bestand", "store_id product_id quantity"),
        ("Handle,Title,SKU,HS Code,Location,Committed,Available,On hand", "- - product_id - store_id - quantity -"),
        ("source_code,sku,status,quantity", "store_id product_id - quantity"),
        ("Store Number,Item Number,Inventory,Date", "store_id product_id quantity -"),
        ("Store Code,Article No,Stock,Retail Price", "store_id product_id quantity -"),
        ("Werk,Material,Menge,counted_at", "store_id product_id quantity as_of"),
    ],
)
def test_list_of_stock_is_known_by_its_columns(tmp_path: Path, head: str, columns: str) -> None:
    plan = planned(tmp_path, head)
    assert plan.table == "stock"
    meanings = dict(zip(head.lower().split(","), columns.split(), strict=True))
    assert columns_of(plan) == {source: name for source, name in meanings.items() if name != "-"}


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("store_id,product_id,price,currency,valid_from", "store_id product_id price currency valid_from"),
        ("Filiale,Artikel,VK-Preis,Währung,gültig ab", "store_id product_id price currency valid_from"),
        ("Outlet,SKU,Retail Price", "store_id product_id price"),
    ],
)
def test_list_of_prices_of_stores_is_known_by_its_columns(tmp_path: Path, head: str, columns: str) -> None:
    plan = planned(tmp_path, head)
    assert plan.table == "prices"
    assert columns_of(plan) == dict(zip(head.lower().split(","), columns.split(), strict=True))


@pytest.mark.parametrize(
    ("head", "table"),
    [
        ("product_id,price", "products"),
        ("sku,name,price,stock", "products"),
        ("sku,name,brand,price,stock,location", "products"),
        ("customer,store,sku,quantity", "transactions"),
        ("receipt,store,sku,quantity,date", "transactions"),
        ("store,city", "stores"),
    ],
)
def test_other_tables_stay_what_they_were(tmp_path: Path, head: str, table: str) -> None:
    assert planned(tmp_path, head).table == table


@pytest.mark.parametrize(
    "head",
    [
        "store,sku,quantity,date",
        "store,sku,quantity,price",
        "store,sku,units_sold,sales",
        "store,sku,stock,sales",
        "store,sku,brand,qty",
    ],
)
def test_what_may_be_sales_by_store_is_refused_until_it_is_said(tmp_path: Path, head: str) -> None:
    with pytest.raises(BadInput, match=r"say what it is with .*--stock"):
        planned(tmp_path, head)
    if "quantity" in head:
        assert planned(tmp_path, head, table="stock").table == "stock"
