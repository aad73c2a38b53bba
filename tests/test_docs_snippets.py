"""The snippets that sign tokens for pages and apps, run as they stand on the page."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import time

import pytest

from app.api.pages.tokens import Person, Tokens
from app.stores.sql.access.keys import Grant
from app.stores.sql.access.publishable import Publishable, new_token_key
from tests.support.repository import skip_unless_ci
from tests.test_docs import DOCS

PYTHON = "import json; print(json.dumps([token_for('900', None), token_for('900', 'visitor-1'), token_for(None, 'v')]))"
NODE = "console.log(JSON.stringify([tokenFor('900'), tokenFor('900', 'visitor-1'), tokenFor(undefined, 'v')]))"
PERSONS = [Person("900", None), Person("900", "visitor-1"), Person(None, "v")]


def snippet(language: str, name: str) -> str:
    """The one block in this language that defines this."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / "access.md").read_text(), re.MULTILINE | re.DOTALL)
    [found] = [block for block in blocks if f" {name}(" in block]
    return str(found)


def test_python_snippet_signs_tokens_that_are_taken(tmp_path: Path) -> None:
    check_signer([sys.executable, "-c"], snippet("python", "token_for") + PYTHON, tmp_path)


def test_node_snippet_signs_tokens_that_are_taken(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        skip_unless_ci("no Node on this machine (Debian, Ubuntu: apt-get install nodejs)")
    check_signer([node, "-e"], snippet("js", "tokenFor") + NODE, tmp_path)


def check_signer(command: Sequence[str], program: str, folder: Path) -> None:
    """Fails unless the program's tokens name the persons, by the key in its folder."""
    private_key, public_key = new_token_key()
    (folder / "endcap-token-key.pem").write_text(private_key)
    done = subprocess.run([*command, program], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    grant = Grant("key_1", "web-shop-pages", frozenset(), 5, Publishable(public_key))
    assert [Tokens().person(one["token"].encode(), grant, now_s=time()) for one in answers] == PERSONS
    assert all(one["endsAt"] == pytest.approx((time() + 600) * 1000, abs=30_000) for one in answers)
