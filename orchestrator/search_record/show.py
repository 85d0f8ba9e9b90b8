"""What `frostline search` shows of a run: its suggestions with their results, and a replay of the record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import results
from orchestrator.errors import UsageError
from orchestrator.search_record.suggestion_log import SuggestionLog
from orchestrator.store.run_folder import RunFolder
from results.analysis.replicate_groups import to_rows
from results.analysis.search_history import Suggested, read_search_history
from search_spaces.spec.load import load_sweep

HEADER = f"{'number':>6}  {'by':8}  {'predicted ce':>18}  {'ce':>7}  {'predicted bytes':>15}  {'bytes':>11}  trial"


def suggestion_lines(run: Path) -> Iterator[str]:
    """A line for each config in the order of its suggestion, and what they say together.

    Raises:
        UsageError: if the run's configs were planned, or its record is damaged.
    """
    folder = RunFolder(run)
    rows = to_rows(results.load(run).trials) if any(folder.tables.glob("trials/*.parquet")) else []
    try:
        history = read_search_history(run, rows)
    except results.ResultsError as error:
        raise UsageError(str(error)) from error
    if history is None:
        raise UsageError(f"{run} holds no suggestions: its configs were planned by method grid or random")
    yield HEADER
    yield from map(_line, history.suggested)
    chosen = ", ".join(f"{count} {method}" for method, count in history.by_method.items())
    yield f"{history.num_configs} configs: {chosen}; {100 * history.rejected_share:.0f} % of the proposals rejected"
    known = [(one.ce, one.predicted_score) for one in history.known if one.ce and one.predicted_score]
    if known:
        mean_error = sum(abs(ce - predicted) for ce, predicted in known) / len(known)
        yield f"mean error of {len(known)} predictions: {mean_error:.3f}"


def replayed(run: Path) -> Iterator[tuple[int, str]]:
    """Every suggestion's number, and what a replay gives instead; an empty text where it gives the same.

    Raises:
        UsageError: if the run has no record, or it is damaged.
    """
    from orchestrator.search.adaptive import differences  # here: its libraries take a second to load

    folder = RunFolder(run)
    if not folder.suggestions_file.exists():
        raise UsageError(f"{run} holds no suggestions: its configs were planned by method grid or random")
    spec = load_sweep(folder.sweep_file)
    history = SuggestionLog(folder.suggestions_file).read(spec)
    assert history is not None
    return differences(spec, history)


def _line(one: Suggested) -> str:
    predicted = "" if one.predicted_score is None else f"{one.predicted_score:.4f} ± {one.predicted_std or 0:.4f}"
    ce = "" if one.ce is None else f"{one.ce:.4f}"
    sizes = ["" if size is None else f"{size:,}" for size in (one.predicted_bytes, one.artifact_bytes)]
    trial = one.trial_ids[0] + (f" and {len(one.trial_ids) - 1} more" if len(one.trial_ids) > 1 else "")
    return f"{one.number:>6}  {one.method:8}  {predicted:>18}  {ce:>7}  {sizes[0]:>15}  {sizes[1]:>11}  {trial}"
