"""`endcap feed`: one look at the products feed, as the worker takes them on its schedule."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from app.commands.terminal import AsJson, DataDir, load_settings, show

AcceptFewer = Annotated[
    bool, typer.Option("--accept-fewer", help="Take a feed that has fewer than half of the products of before.")
]


def feed(accept_fewer: AcceptFewer = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Look at the feed of ENDCAP_PRODUCT_FEED_URL now, and import what changed."""
    from app.imports.feed.refresh import refresh

    report = refresh(load_settings(data_dir), now=datetime.now(UTC), accepts_fewer=accept_fewer)
    show(as_json, report.to_dict(), *report.lines())
