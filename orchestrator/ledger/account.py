"""Opens the account of a run folder: what it has cost, and what it may still take."""

from __future__ import annotations

from functools import partial

from orchestrator.estimates.cpu_speed import measured_cpu
from orchestrator.ledger.bookkeeper import Bookkeeper
from orchestrator.ledger.events import LedgerLog
from orchestrator.ledger.extensions import Extensions
from orchestrator.ledger.tables import write_tables
from orchestrator.ledger.timed_budget import TimedBudget
from orchestrator.scheduling.durations import Durations
from orchestrator.store.run_folder import RunFolder
from search_spaces.spec.sweep_spec import SweepSpec


def open_account(folder: RunFolder, spec: SweepSpec) -> tuple[Bookkeeper, TimedBudget]:
    """Nothing is written before a driver begins.

    Raises:
        UsageError: if a file of it is damaged.
    """
    books = Bookkeeper(LedgerLog(folder.ledger_file), spec.prices, partial(write_tables, folder, spec.name))
    extended = Extensions(folder.extensions_file).extended
    return books, TimedBudget(spec.budget, extended, books, durations=Durations(measured_cpu()))
