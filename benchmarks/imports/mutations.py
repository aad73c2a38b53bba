"""Import files that were damaged at random: each is read, or refused in one line, and never ends in a traceback.

The files are the shapes of tests/unit/imports/cases, with bytes changed, cut, repeated and swapped between them:
    python -m benchmarks.imports.mutations --count 2000
"""

import argparse
import gzip
import json
import tomllib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from app.errors import BadInput
from app.imports.mapping.load import file_form
from app.imports.preview.preview import preview_of
from app.imports.run import Sources, planned, run_imports
from app.settings import Settings

CASES = Path("tests/unit/imports/cases")


def main() -> None:
    """Print how many files were read, refused whole and refused in part; fail at the first other end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(json.dumps(import_damaged(contents(), count=options.count, seed=options.seed)))


def contents() -> list[tuple[str, bytes]]:
    """Name and content of each shape."""
    found = []
    for file in sorted(CASES.glob("*.toml")):
        for case in tomllib.loads(file.read_text(encoding="utf-8")).values():
            content = str(case["content"]).encode(str(case.get("encoding", "utf-8")))
            name = str(case["file"])
            found.append((name, gzip.compress(content, mtime=0) if name.endswith(".gz") else content))
    return found


def import_damaged(files: list[tuple[str, bytes]], *, count: int, seed: int) -> dict[str, int]:
    """Imports `count` damaged files, half of them after a look; how many ended in which way."""
    random, ends, now = Random(seed), Counter[str](), datetime.now(UTC)
    with TemporaryDirectory(prefix="endcap-mutations-") as scratch:
        settings = Settings.load(data_dir=Path(scratch) / "var")
        for number in range(count):
            name, content = random.choice(files)
            path = Path(scratch) / f"{number}-{name}"
            path.write_bytes(damaged(content, random.choice(files)[1], random))
            stated = file_form(date_order="day-first") if number % 3 else file_form()
            sources = Sources(files=(path,), stated=stated)
            try:
                if number % 2:
                    with planned(settings, sources) as plans:
                        for plan in plans:
                            preview_of(settings, path, plan, now=now, command="").to_dict()
                reports = run_imports(settings, sources, shift_to_now=False, now=now, progress=_no_progress)
            except BadInput as error:
                ends["refused" if "\n" not in error.message else "refused in several lines"] += 1
                continue
            except Exception:
                print(json.dumps({"file": name, "content": path.read_bytes().hex()}))
                raise
            ends["in part" if any(report.rows_rejected for report in reports) else "read"] += 1
            path.unlink()
    return dict(ends)


def damaged(content: bytes, other: bytes, random: Random) -> bytes:
    """The content with one to four changes."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 4)):
        at, end = sorted(random.randrange(len(changed) + 1) for _ in range(2))
        kind = random.randrange(6)
        if kind == 0:
            changed[at : at + 1] = bytes([random.randrange(256)])
        elif kind == 1:
            del changed[at:end]
        elif kind == 2:
            changed[at:at] = changed[at:end]
        elif kind == 3:
            changed[at:at] = random.choice(b'\n\r,;|\t"\0\\{}[]<>:'.decode()).encode() * random.randint(1, 3)
        elif kind == 4:
            start = random.randrange(len(other) + 1)
            changed[at:end] = other[start : start + end - at]
        else:
            changed[at:at] = random.choice(("\ufeff", "NULL", "1e400", "-", "9" * 30, "\u2028", "é", "NaN")).encode()
    return bytes(changed)


def _no_progress(_name: str, _done: int, _total: int | None) -> None:
    pass


if __name__ == "__main__":
    main()
