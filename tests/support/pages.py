"""A page as its reader would follow it: blocks of commands run by bash, what comes out compared with what it shows."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.world import customer, product

BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:\n```\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
"""A block of commands, and the answer right below it where it has one."""
FACT = re.compile(r'"\w+": (?:"[^"…]*["…]|-?[\d.]+|true|false|null|\[\])')
END = "\x1e"
DEMO = "http://127.0.0.1:8000"
"""Where the pages ask the demo."""


def small_shop_names(client: httpx.Client) -> dict[str, str]:
    """What the demo's address, customer, product, department and currency are called in the small shop."""
    return {
        DEMO: str(client.base_url).rstrip("/"),
        "900": customer("tea", 0),
        "1082185": product("tea", 0),
        "PRODUCE": "TEA",
        "USD": "EUR",
    }


@dataclass(frozen=True, slots=True)
class Block:
    """Commands of a page, and what it shows below them."""

    commands: str
    shown: str

    def with_names(self, names: Mapping[str, str]) -> "Block":
        """The same about other things: each whole word that is a key of `names` becomes its value."""
        words = "|".join(re.escape(name) for name in names)
        pattern = re.compile(rf"(?<![\w.])(?:{words})(?![\w.])")
        return Block(*(pattern.sub(lambda found: names[found[0]], text) for text in (self.commands, self.shown)))


def blocks_of(page: Path) -> list[Block]:
    """The blocks in the page's order."""
    return [Block(commands, shown) for commands, shown in BLOCK.findall(page.read_text())]


def run_blocks(blocks: Sequence[Block], folder: Path, environment: Mapping[str, str] | None = None) -> list[str]:
    """What each block prints, run one after the other in one shell in `folder`; none may fail or complain."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=f"printf '{END}'\n".join(block.commands + "\n" for block in blocks),
        env={"PATH": os.environ["PATH"]} | dict(environment or {}),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = done.stdout.split(END)
    assert len(answers) == len(blocks)
    for block, answer in zip(blocks, answers, strict=True):
        check_shown(block, answer)
    return answers


def check_shown(block: Block, answer: str) -> None:
    """Fails unless each fact that the page shows is in the answer, in the same order; `…` stands for anything."""
    spaced = "\n".join(with_spaces(answer))
    start = 0
    for fact in facts(block.shown):
        start = spaced.find(fact, start) + len(fact)
        assert start >= len(fact), f"{block.commands}\nshould be answered by {fact}, not\n{spaced}"


def facts(shown: str) -> Iterator[str]:
    """The names with their values, up to where they are left out, and the lines that are no JSON."""
    for line in shown.splitlines():
        if line.startswith(("{", " ")):
            yield from (fact.removesuffix("…") for fact in FACT.findall(line))
        else:
            yield from filter(None, line.split("…"))


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
