"""`python -m app`, or this file by its path: the command line of this very copy of Endcap, in whatever folder."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])

if __name__ == "__main__":
    # An installed copy is on the path already, where it must not come before the standard library.
    if ROOT not in sys.path:
        sys.path.insert(0, ROOT)
    from app.cli import main

    main()
