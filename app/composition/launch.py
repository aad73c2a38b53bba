"""How another process of this very copy of Endcap is started."""

import sys
from pathlib import Path

import app


def own_command() -> list[str]:
    """The command line of `endcap` as it runs here: -P, because another `app` may be in the current folder."""
    return [sys.executable, "-P", str(Path(app.__file__).with_name("__main__.py"))]
