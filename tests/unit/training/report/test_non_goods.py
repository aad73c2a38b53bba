"""What the report says of products that look like no goods."""

from dataclasses import asdict

from training.data.non_goods import NonGood, non_goods_document
from training.report.non_goods import MAX_ROWS, non_goods_section

POST = NonGood("POST", "Postage <b>", 1234, ("its id says so", "its name says so"), is_left_out=True)
BAG = NonGood("bag", None, 5, ("its id says so",), is_left_out=False)


def test_section_names_each_product_with_its_evidence_and_what_to_do() -> None:
    page = non_goods_section([asdict(POST), asdict(BAG)])
    assert "Postage &lt;b&gt;" in page
    assert "1,234" in page
    assert "its id says so; its name says so" in page
    assert "Set `recommendable` in the product table" in page
    assert page.index("Left out") < page.index("POST") < page.index("Worth a look") < page.index(">bag<")


def test_long_lists_are_cut_and_say_so() -> None:
    many = [NonGood(f"p{number}", None, 1, ("why",), is_left_out=True) for number in range(MAX_ROWS + 20)]
    page = non_goods_section([asdict(one) for one in many])
    assert f"the first {MAX_ROWS} of {MAX_ROWS + 20}" in page
    assert f"p{MAX_ROWS}" not in page


def test_shop_of_goods_alone_has_no_such_section() -> None:
    assert non_goods_section(()) == ""


def test_manifest_lists_all_that_is_left_out_and_a_part_of_the_others() -> None:
    both = [POST] * 300 + [BAG] * 300
    assert [one["product_id"] for one in non_goods_document(both)] == ["POST"] * 300 + ["bag"] * 100
