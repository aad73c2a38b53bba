"""What every command sets on its own process before anything else: private files, and as many open ones as it may."""

import os
import resource

OTHERS = 0o077
"""The rights that no new file gives: 0600 and 0700 are left. Children inherit this, the embedded Valkey too."""
ENOUGH_FILES = 65_536
"""No more open files than these: some systems allow a billion, and programs exist that go through all of them."""


def prepare() -> None:
    """Files that this process and its children make are their user's alone; the limit of open files is raised."""
    os.umask(OTHERS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < min(hard, ENOUGH_FILES):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, ENOUGH_FILES), hard))


def open_file_limit() -> int:
    """How many files this process may hold open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
