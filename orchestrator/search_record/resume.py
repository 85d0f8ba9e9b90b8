"""The adaptive search of a run folder: resumed from its record, or begun with what earlier runs taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import Progress

from orchestrator.errors import UsageError
from orchestrator.search.history import History, Suggestion
from orchestrator.search.search import Search
from orchestrator.search.warm_start import Learned, in_order, learned_from
from orchestrator.search_record.suggestion_log import SuggestionLog
from orchestrator.store.run_folder import RunFolder
from search_spaces.spec.sweep_spec import SweepSpec

MAX_ROWS_WITHOUT_PROGRESS = 500  # of earlier runs: about a second


def num_trials(search: Search) -> int:
    """How many trials the sweep has, as far as that is known: what may still come is counted as if it did."""
    return len(search.trials) + search.num_to_come


def adaptive_search(
    spec: SweepSpec,
    folder: RunFolder,
    rows: Sequence[Mapping[str, Any]],
    data_sha256: Mapping[str, str],
    console: Console,
) -> Search:
    """The search as its record left it, told of every row of the run's table.

    Raises:
        UsageError: if the record is damaged, or a folder to learn from holds no tables.
    """
    # here and not above: scikit-learn and Optuna take a second to load, and a plan needs neither
    from orchestrator.search.background import BackgroundSearch

    def note(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    log = SuggestionLog(folder.suggestions_file)
    log.cut_unfinished_line()
    history = log.read(spec)
    if history is None:
        history = History()
        if spec.search.learn_from:
            found = _learned(spec, data_sha256, console)
            note(found.text())
            history = History(learned=found.observations)
    learned = history.learned

    def record(suggestion: Suggestion) -> None:
        log.start(learned)
        log.append(suggestion)

    search = BackgroundSearch(spec, history, record, note=note)
    search.tell_all(in_order(rows))
    return search


def _learned(spec: SweepSpec, data_sha256: Mapping[str, str], console: Console) -> Learned:
    import results
    from results.analysis.replicate_groups import to_rows

    try:
        rows = to_rows(results.load(spec.search.learn_from).trials)
    except results.ResultsError as error:
        raise UsageError(f"search.learn_from: {error}") from error
    with Progress(console=console, transient=True, disable=len(rows) <= MAX_ROWS_WITHOUT_PROGRESS) as bar:
        tracked = bar.track(in_order(rows), description="learning from earlier trials")
        return learned_from(spec, tracked, data_sha256)
