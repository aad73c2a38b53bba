"""A command as a container with a read-only root runs it: another user, without rights, and few folders to write to."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.repository import skip_unless_ci

# The folders are mounts of their own, so that they stay as they are when the rest becomes read-only.
SCRIPT = """
while [ "$1" != -- ]; do mount --bind "$1" "$1"; shift; done
shift
mount -o remount,bind,ro /
exec unshare --user --map-user=10001 --map-group=10001 -- "$@"
"""


def read_only(writable: Sequence[Path], *command: str) -> list[str]:
    """The command line that does this; /dev/shm stays writable as well. Skips the test where the kernel refuses."""
    as_root = ["unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-ec", SCRIPT, "sh"]
    start = [*as_root, *map(str, writable), "--"]
    if shutil.which("unshare") is None:
        skip_unless_ci("no unshare on this machine (Debian, Ubuntu: apt-get install util-linux)")
    tried = subprocess.run([*start, "true"], capture_output=True, text=True)
    if tried.returncode:
        skip_unless_ci(f"this machine lets nobody have namespaces of their own: {tried.stderr.strip()}")
    return [*start, *command]
