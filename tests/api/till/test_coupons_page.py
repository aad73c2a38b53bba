"""docs/coupons.md as a till developer would follow it: every block run by bash, every answer compared."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from tests.support.shop import Shop

PAGE = ROOT / "docs" / "coupons.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:\n```\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
"""A block of commands, and the answer right below it where it has one."""
FACT = re.compile(r'"\w+": (?:"[^"…]*["…]|-?[\d.]+|true|false|null|\[\])')
END = "\x1e"


@pytest.fixture(scope="module")
def blocks() -> list[tuple[str, str]]:
    """Commands and the answer shown below them, in the page's order."""
    return [(commands, shown) for commands, shown in BLOCK.findall(PAGE.read_text())]


def test_page_works_when_it_is_pasted_into_a_shell(shop: Shop, blocks: list[tuple[str, str]], tmp_path: Path) -> None:
    assert len(blocks) >= 15
    assert "".join(commands for commands, _ in blocks).count("http://127.0.0.1:8000") == 1
    script = f"printf '{END}'\n".join(commands + "\n" for commands, _ in blocks)
    environment = {"PATH": os.environ["PATH"], "ENDCAP": str(shop.client.base_url).rstrip("/")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=script,
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    answers = done.stdout.split(END)
    assert len(answers) == len(blocks)
    for (commands, shown), answer in zip(blocks, answers, strict=True):
        check_shown(shown, answer, commands)
    assert (tmp_path / "coupon.svg").read_text().startswith("<svg")


def check_shown(shown: str, answer: str, commands: str) -> None:
    """Fails unless each fact that the page shows is in the answer, in the same order; `…` stands for anything."""
    spaced = "\n".join(with_spaces(answer))
    start = 0
    for fact in facts(shown):
        start = spaced.find(fact, start) + len(fact)
        assert start >= len(fact), f"{commands}\nshould be answered by {fact}, not\n{spaced}"


def facts(shown: str) -> Iterator[str]:
    """The names with their values, up to where they are left out, and the lines that are no JSON."""
    for line in shown.splitlines():
        if line.startswith(("{", " ")):
            yield from (fact.removesuffix("…") for fact in FACT.findall(line))
        else:
            yield line


def with_spaces(answer: str) -> Iterator[str]:
    """What was answered, line by line and JSON by JSON, in the page's manner of writing it."""
    decoder, rest = json.JSONDecoder(), answer.strip()
    while rest:
        if rest.startswith("{"):
            document, end = decoder.raw_decode(rest)
            yield json.dumps(document, ensure_ascii=False)
            rest = rest[end:].strip()
        else:
            line, _, rest = rest.partition("\n")
            yield line.strip()
