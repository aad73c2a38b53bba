"""Where this checkout is, for tests that read its pages and files."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
