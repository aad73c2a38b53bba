"""Pictures of coupons say, to a reader that knows nothing of how they were drawn, just what went into them."""

import re
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.errors import BadInput
from app.offers.display.images import barcode_svg, qr_png, qr_svg
from app.offers.terms.codes import new_code, shown_code
from app.offers.terms.gs1 import element_string, parse_element_string

Pixels = npt.NDArray[np.uint8]
ELEMENTS = "(255)5012345678900123456789012(17)261231"


def drawn(svg: str) -> Pixels:
    """The black rectangles of a picture's path on white, two pixels a unit."""
    size = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
    assert size is not None
    pixels = np.full((int(size[2]) * 2, int(size[1]) * 2), 255, np.uint8)
    boxes = re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+Z", svg)
    assert boxes
    for left, top, width, height in (map(int, box) for box in boxes):
        pixels[top * 2 : (top + height) * 2, left * 2 : (left + width) * 2] = 0
    return pixels


def read(pixels: Pixels) -> zxingcpp.Barcode:
    """The one code in the picture."""
    (found,) = zxingcpp.read_barcodes(pixels)
    return found


def test_qr_code_of_a_coupon_reads_as_its_code() -> None:
    code = shown_code(new_code())
    for pixels in (drawn(qr_svg(code)), np.array(Image.open(BytesIO(qr_png(code))).convert("L"))):
        assert read(pixels).text == code
        assert read(pixels).format == zxingcpp.BarcodeFormat.QRCode


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=200))
def test_qr_code_reads_as_whatever_text_went_in(text: str) -> None:
    assert zxingcpp.read_barcodes(drawn(qr_svg(text)), text_mode=zxingcpp.TextMode.Plain)[0].text == text


@pytest.mark.parametrize("text", ["", "x" * 2332, "café", "two\nlines"])
def test_text_that_no_qr_code_holds_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="2331 printable"):
        qr_svg(text)


def test_longest_text_that_a_qr_code_holds_is_drawn() -> None:
    assert read(drawn(qr_svg("x" * 2331))).text == "x" * 2331


@pytest.mark.parametrize("elements", [ELEMENTS, "(255)5012345678900", element_string("5012345678900", "7")])
def test_barcode_reads_as_its_element_string(elements: str) -> None:
    found = read(drawn(barcode_svg(elements)))
    assert found.text == elements
    assert found.content_type == zxingcpp.ContentType.GS1
    assert found.symbology_identifier == "]e0"


def test_what_a_scanner_sends_for_a_barcode_is_understood() -> None:
    found = read(drawn(barcode_svg(ELEMENTS)))
    sent = found.symbology_identifier + found.bytes.decode()
    assert parse_element_string(sent) == parse_element_string(ELEMENTS)


def test_barcode_has_its_figures_below_for_a_cashier_to_type() -> None:
    svg = barcode_svg(ELEMENTS)
    assert re.findall(r"<text[^>]*>([^<]+)</text>", svg) == ["(255)5012345678900123456789012", "(17)261231"]


@pytest.mark.parametrize("wrong", ["", "WELCOME-10", "(255)5012345678901", "(01)05012345678900"])
def test_no_barcode_is_drawn_of_what_is_no_coupon(wrong: str) -> None:
    with pytest.raises(BadInput):
        barcode_svg(wrong)


def test_picture_can_stand_inside_a_page() -> None:
    for svg in (qr_svg("x"), barcode_svg(ELEMENTS)):
        assert svg.startswith("<svg ")
        assert svg.endswith("</svg>")
