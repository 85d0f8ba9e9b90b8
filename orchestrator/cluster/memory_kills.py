"""How many processes the kernel of this machine has killed because memory ran out."""

from __future__ import annotations

import re
from pathlib import Path

# The one counter that is there with either version of control groups, in a container and outside: kills by the limit
# of a container count as well. It counts those of other containers of the machine, too.
COUNTERS = Path("/proc/vmstat")


def num_memory_kills() -> int:
    """Kills since the machine was started; 0 where the kernel does not say."""
    try:
        found = re.search(r"^oom_kill (\d+)$", COUNTERS.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0
