"""Mapping files: every fault is named with its place; the shipped ones are sound and known apart."""

from pathlib import Path

import pytest

from app.errors import BadInput
from app.imports.mapping.load import file_form, load_mapping, parse_mapping, shipped_mappings
from app.imports.plan import COMPULSORY, known_source

HEAD = 'mapping = 1\nname = "till"\ntable = "transactions"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mapping = ", "till.toml: is not TOML"),
        ('name = "x"\ntable = "transactions"', "till.toml: mapping: Field required"),
        ('mapping = 2\nname = "x"\ntable = "transactions"', "mapping: Input should be 1, is 2"),
        (HEAD.replace("transactions", "orders"), "table: Input should be 'transactions'"),
        (HEAD + '[[rows]]\ncolumn = "a"\nkinds = { bought = "x" }', "rows.0.kinds.bought.*Input should be 'purchase'"),
        (HEAD + "colums = {}", "colums: Extra inputs are not permitted"),
        (HEAD + '[columns]\namount = { product = ["a"] }', r"columns.amount: a product is of two columns"),
        (HEAD + '[columns]\namount = { column = "a", constant = "1" }', "columns.amount: give just one of column"),
        (HEAD + '[file]\ndecimal = "dot"', "file.decimal: Input should be 'point' or 'comma', is 'dot'"),
        (HEAD + '[columns]\nid = { column = "a", strip = "(" }', "columns.id.strip: not a regular expression"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "till.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=words) as refusal:
        load_mapping(path)
    assert "\n" not in refusal.value.message


def test_a_mapping_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        load_mapping(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(BadInput, match="is not UTF-8"):
        load_mapping(tmp_path / "latin.toml")


def test_names_of_columns_may_be_given_alone_or_in_a_list() -> None:
    mapping = parse_mapping(HEAD + '[columns]\ncustomer_id = "a"\nproduct_id = ["b", "c"]', name="till.toml")
    assert mapping.sources() == {"a", "b", "c"}


def test_example_of_the_page_about_mappings_is_one() -> None:
    page = Path("docs/mapping.md").read_text(encoding="utf-8")
    mapping = parse_mapping(page.split("```toml\n")[1].split("```")[0], name="docs/mapping.md")
    assert mapping.name == "our-till"


@pytest.mark.parametrize("name", shipped_mappings())
def test_page_about_mappings_lists_each_that_is_shipped(name: str) -> None:
    assert f"\n| `{name}` | " in Path("docs/mapping.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", shipped_mappings())
def test_shipped_mapping_gives_what_its_table_needs_and_is_found_by_its_own_columns(name: str) -> None:
    mapping = shipped_mappings()[name]
    assert mapping.title
    if mapping.refuse is None:
        given = set(mapping.columns)
        assert set(COMPULSORY[mapping.table]) <= given
    for signature in mapping.detect:
        assert known_source([column.lower() for column in signature], mapping.table) == mapping


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../Berlin"])
def test_a_zone_that_is_none_is_refused_in_options_and_in_files(zone: str) -> None:
    with pytest.raises(BadInput, match=f"no time zone '{zone}'; write for example Europe/Berlin"):
        file_form(time_zone=zone)
    with pytest.raises(BadInput, match=rf"file.time_zone: no time zone '{zone}'"):
        parse_mapping(f'{HEAD}[file]\ntime_zone = "{zone}"', name="till.toml")
