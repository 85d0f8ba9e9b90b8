"""The picture of `search.py`: how the hypervolume grows with the trials, for each method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

COLOURS = {"random": "#888888", "tpe": "#0072b2", "ehvi": "#d55e00"}  # told apart by colour-blind readers
STYLES = {"random": ":", "tpe": "--", "ehvi": "-"}


def draw(found: Sequence[Any], path: Path) -> None:
    """A panel for each table and world, of searches on one slot."""
    slots = min(one.setting.slots for one in found)
    chosen = [one for one in found if one.setting.slots == slots]
    tables = sorted({one.setting.table for one in chosen})
    worlds = sorted({one.setting.world for one in chosen}, reverse=True)
    final = {
        (one.setting.table, one.setting.world, one.setting.seed): one.hypervolume[-1]
        for one in chosen
        if one.setting.method == "random"
    }
    size = (3.2 * len(tables), 2.4 * len(worlds))
    figure, axes = plt.subplots(len(worlds), len(tables), figsize=size, sharex=True, squeeze=False)
    for (row, world), (column, table) in [(a, b) for a in enumerate(worlds) for b in enumerate(tables)]:
        panel = axes[row][column]
        for method, colour in COLOURS.items():
            curves = [
                np.array(one.hypervolume) / final[table, world, one.setting.seed]
                for one in chosen
                if (one.setting.table, one.setting.world, one.setting.method) == (table, world, method)
            ]
            if curves:
                length = min(map(len, curves))
                mean = np.mean([curve[:length] for curve in curves], axis=0)
                panel.plot(np.arange(1, length + 1), mean, STYLES[method], color=colour, label=method)
        panel.axhline(1, color="#cccccc", linewidth=0.8)
        panel.set_ylim(0.75, None)
        panel.set_title(f"{Path(table).name}, world {world}", fontsize=9)
    axes[0][0].legend(fontsize=8)
    figure.supxlabel("trials", fontsize=9)
    figure.supylabel("hypervolume, of random's after all trials", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
