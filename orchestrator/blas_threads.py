"""One BLAS thread for small matrices: a second one makes nothing faster, and may round otherwise."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

# The limit holds for the whole process: of two that overlap, the one that ends first would lift it for the other.
_one_at_a_time = threading.Lock()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run the block with one thread, and no other such block beside it."""
    with _one_at_a_time, threadpool_limits(limits=1):
        yield
