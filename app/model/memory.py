"""Memory that a replaced bundle held goes back to the system: the last step of a swap."""

import ctypes


def release_memory() -> None:
    """Returns freed memory to the system where the C library can (glibc); some 10 ms for 100 MB.

    Arrays of 20 MB come from glibc's heap, not from pages of their own, and it keeps them: after a few swaps on the
    grocer's data a server held 490 MB where 345 were in use.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
