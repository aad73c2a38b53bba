"""Where this checkout is, which text files it has, and what becomes of tests whose tools the machine lacks."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
TEXT = {".py", ".md", ".toml", ".yaml", ".css", ".ipynb"}


def tracked(*places: str) -> Iterator[Path]:
    """The text files below these folders, or that match these patterns, as git lists them; new ones too."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *places]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    yield from (
        Path(name) for name in listed.stdout.splitlines() if Path(name).suffix in TEXT and (ROOT / name).is_file()
    )


def skip_unless_ci(why: str) -> NoReturn:
    """Ends a test that needs what the machine lacks: only CI, which installs all of it, insists."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
