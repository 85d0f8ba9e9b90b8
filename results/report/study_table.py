"""The table of `frostline table` as text and as Markdown."""

from __future__ import annotations

from results.analysis import published_figures
from results.analysis.control_comparison import SAME_BYTES_RATIO, StudyRow, StudyTable
from results.analysis.published_figures import Published
from results.report.formatting import difference, with_interval
from results.report.markdown import escape, markdown_table

HEADERS = (
    *("config", "CE ± 95 %", "seeds", "vs control %", "vs same bytes %", "which is", "bytes", "frozen"),
    *("published", "unlike"),
)


def cells(row: StudyRow) -> tuple[str, ...]:
    """One row under HEADERS."""
    same = row.same_bytes
    return (
        row.label,
        with_interval(row.ce, 4),
        str(row.ce.num),
        "control" if row.is_control and row.ce_pct is None else difference(row.ce_pct, row.ce.num),
        difference(same.ce_pct if same else None, row.ce.num),
        "" if same is None else same.name,
        "–" if row.artifact_bytes is None else f"{row.artifact_bytes:,}",
        _frozen_text(row),
        _published_text(row),
        row.marks,
    )


def markdown(table: StudyTable) -> list[str]:
    """The table and its remarks as lines of Markdown."""
    return [*markdown_table(HEADERS, map(cells, table.rows)), *(f"- {escape(text)}" for text in remarks(table))]


def remarks(table: StudyTable) -> list[str]:
    """What a reader must know of the figures: the marks in use, and what holds of each published row."""
    letters = {letter for row in table.rows for letter in row.marks}
    lines = [f"{letter}  {text}" for letter, text in published_figures.MARKS.items() if letter in letters]
    lines += ["frozen: share of all weights; r random (seeded, no bytes), t at trained values (stored, full bytes)"]
    lines += [
        "vs control: against the learned config that is equal in all but the recipe, paired by seed and accelerator; "
        "an untuned control, as nobody searched for its settings: it decides nothing"
    ]
    lines += [
        "vs same bytes: against the learned config whose artifact is nearest in size, of the same kind of MLP if there "
        "is one; which is: its shape, and its bytes over the row's; none where no learned artifact is within "
        f"{100 * SAME_BYTES_RATIO - 100:.0f} %"
    ]
    lines += ["±: 95 % interval over seeds by Student's t, of one comparison; of twenty of them one misses by chance"]
    if any(row.published and row.published.ce is not None for row in table.rows):
        lines += ["published: one seed each, in brackets against its own table's baseline in %"]
    lines += [_verdict(row.label, row.published) for row in table.rows if row.published]
    return lines + [f"not run here: {_verdict(row.sweep, row)}" for row in table.missing]


def _frozen_text(row: StudyRow) -> str:
    shares = {"r": row.seeded_share, "t": row.stored_frozen_share}
    return " ".join(f"{100 * share:.1f}{letter}" for letter, share in shares.items() if share) or "–"


def _published_text(row: StudyRow) -> str:
    if row.published is None:
        return ""
    text = "–" if row.published.ce is None else f"{row.published.ce:.4f}"
    return text if row.published_pct is None else f"{text} ({row.published_pct:+.1f})"


def _verdict(label: str, row: Published) -> str:
    size = "" if row.size is None else f", {row.size} by the rule {row.byte_rule}"
    return f"{label}: published as {row.row}{size}: {row.verdict}"
