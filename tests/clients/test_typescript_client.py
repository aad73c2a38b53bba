"""Types that openapi-typescript generates: they let right requests compile, and no misspelt or mistyped one."""

import re
from pathlib import Path

from tests.clients.tools import SOURCES, ClientTools

RIGHT, WRONG = "right.ts", "wrong.ts"


def test_wrong_requests_do_not_compile(tools: ClientTools, document: Path, tmp_path: Path) -> None:
    # Without this option a field with a default would have to be sent.
    printed = tools.node(
        "openapi-typescript", str(document), "--output", str(tmp_path / "api.ts"), "--default-non-nullable=false"
    )
    assert not re.search("warn|error", printed, re.IGNORECASE), printed
    for name in (RIGHT, WRONG):
        (tmp_path / name).write_text((SOURCES / name).read_text())
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"]
    compiled = tools.node("tsc", *options, *(str(tmp_path / name) for name in (RIGHT, WRONG)), may_fail=True)
    found = {int(line) for file, line in re.findall(r"([\w.]+)\((\d+),\d+\): error", compiled) if file == WRONG}
    expected = {
        number for number, line in enumerate((SOURCES / WRONG).read_text().splitlines(), 1) if "// wrong:" in line
    }
    assert found == expected, compiled
    assert compiled.count(": error ") == len(expected), compiled
