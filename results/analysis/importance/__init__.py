"""Which settings mattered: for cross-entropy at equal bytes, and for reaching the front."""

from results.analysis.importance.targets import (
    EQUAL_BYTES,
    REACHING_FRONT,
    Importance,
    importances,
)

__all__ = ["EQUAL_BYTES", "REACHING_FRONT", "Importance", "importances"]
