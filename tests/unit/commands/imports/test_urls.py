"""`endcap import` of a URL: fetched, then as any file."""

import json
from pathlib import Path

import pytest

from app.cli import run_command
from tests.unit.imports.feed.web import serving_web


@pytest.mark.parametrize("option", [[], ["--products"]])
def test_file_of_a_url_is_imported_as_any_other(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: list[str]
) -> None:
    with serving_web() as web:
        web.content = b"id\ttitle\tprice\n1\tOne\t1.99 EUR\n"
        status = run_command(["import", *option, web.url, "--json", "--data-dir", str(tmp_path)])
        [report] = json.loads(capsys.readouterr().out)["imports"]
        assert (status, report["table"], report["rows_added"]) == (0, "products", 1)
        web.status = 404
        assert run_command(["import", *option, web.url, "--data-dir", str(tmp_path)]) == 2
    assert "answered 404" in capsys.readouterr().err
    # What was fetched is gone.
    assert not list(tmp_path.glob(".import-*"))
