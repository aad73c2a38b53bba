"""Which processes an erasure has exchanged: those that serve, and no other child."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time

import pytest

from app.erasure.memory import older_children

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc")


@contextmanager
def child(*words: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "input()", *words], stdin=subprocess.PIPE)
    try:
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def test_only_children_that_serve_and_began_before_count() -> None:
    me = os.getpid()
    with child("serve", "--parent-pid", str(me)) as serves, child("a helper of a training"):
        assert older_children(me, than_s=time() + 60) == [serves]
        assert older_children(me, than_s=time() - 60) == []
    assert older_children(me, than_s=time() + 60) == []
