"""Coupons as pictures for a wallet: QR codes of any text, and GS1 DataBars of element strings."""

from collections.abc import Sequence
from io import BytesIO

import zxingcpp
from PIL import Image

from app.errors import BadInput
from app.offers.terms.gs1 import parse_element_string

QR_MAX_CHARACTERS = 2331
"""What the largest QR code holds at error correction M (ISO/IEC 18004, table 7)."""
SVG_SCALE = 2
PNG_SCALE = 8
"""Pixels per module."""
LINE_PX = 13


def qr_svg(text: str) -> str:
    """The text as a QR code in SVG, with its quiet zone; raises BadInput unless it is 1 to 2331 characters of ASCII."""
    return _svg(_qr(text))


def qr_png(text: str) -> bytes:
    """The same as a PNG of black and white pixels."""
    image = Image.fromarray(_qr(text).to_image(scale=PNG_SCALE))
    file = BytesIO()
    image.convert("1").save(file, "PNG", optimize=True)
    return file.getvalue()


def barcode_svg(elements: str) -> str:
    """A coupon's element string, (255)…, as GS1 DataBar Expanded Stacked with the same below in figures, in SVG.

    The symbol that GS1 has for coupons at tills, and narrow enough for a telephone. Raises BadInput when it is none.
    """
    figures = [f"({identifier}){value}" for identifier, value in parse_element_string(elements).items()]
    return _svg(zxingcpp.create_barcode("".join(figures), zxingcpp.BarcodeFormat.DataBarExpStk), below=figures)


def _qr(text: str) -> zxingcpp.Barcode:
    # Readers guess the encoding of anything else, each in its own way.
    if not (0 < len(text) <= QR_MAX_CHARACTERS and text.isascii() and text.isprintable()):
        raise BadInput(f"a QR code holds 1 to {QR_MAX_CHARACTERS} printable ASCII characters; escape others as %C3%A9")
    return zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")


def _svg(barcode: zxingcpp.Barcode, *, below: Sequence[str] = ()) -> str:
    """The picture without the XML head that pages cannot embed, growing with its box; `below`: lines of digits."""
    drawn: str = barcode.to_svg(scale=SVG_SCALE)
    width, height = (int(drawn.split(f' {side}="', 1)[1].split('"', 1)[0]) for side in ("width", "height"))
    path = drawn.split('<path d="', 1)[1].split('"', 1)[0]
    lines = "".join(
        # Only digits and brackets come through parse_element_string(), so there is nothing to escape.
        f'<text x="{width / 2:g}" y="{height + LINE_PX * number - 4}">{line}</text>'
        for number, line in enumerate(below, 1)
    )
    height += LINE_PX * len(below)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<rect width="{width}" height="{height}" fill="#fff"/><path d="{path}"/>'
        f'<g font-family="monospace" font-size="{LINE_PX - 3}" text-anchor="middle">{lines}</g></svg>'
    )
