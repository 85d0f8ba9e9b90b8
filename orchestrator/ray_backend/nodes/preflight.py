"""Checks of the cluster before the start: that its nodes can run the trials, and that nothing is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.cluster.diagnosis import Demands, through_the_driver
from orchestrator.errors import UsageError
from orchestrator.ray_backend.nodes.doctor import check_cluster
from orchestrator.run_context import RunContext
from orchestrator.scheduling.placement import Pool, unplaceable
from orchestrator.search.planner import PlannedTrial
from search_spaces.spec.sections.accelerators import kinds_in_words
from trainer.versions import own_versions


def check_placement(trials: Sequence[PlannedTrial], pool: Pool) -> None:
    """Refuse a sweep with trials that no node of the cluster could ever run.

    Raises:
        UsageError: naming the needs, and what the cluster has.
    """
    lost = unplaceable(trials, pool)
    if not lost:
        return
    needs = sorted({_need(trial) for trial in lost})
    has = ", ".join(f"{n.kind} ({n.cpus:g} CPUs, {n.gpus:g} GPUs)" for n in pool.nodes if not n.spare) or "no nodes"
    raise UsageError(
        f"{len(lost)} of {len(trials)} trials can run on no node of this cluster: they need {'; '.join(needs)}, but it "
        f"has {has}. Change `resources` in the spec, or connect a cluster that has them with --address"
    )


def check_nodes(pool: Pool, trials: Sequence[PlannedTrial], run: RunContext) -> None:
    """Check every node as `frostline doctor` does, for what these trials need.

    What nodes do not see, the run folder or the data, goes through the driver: the display says so, and the warnings.

    Raises:
        UsageError: with all that is wrong, node by node.
    """
    demands = Demands(versions={} if run.any_versions else own_versions(), cuda_kinds=cuda_kinds(pool, trials))
    names = sorted({trial.config.data for trial in trials})
    checked = check_cluster(run.folder.root, run.data_root, names, demands)
    if faults := [line for one in checked for line in one.faults]:
        raise UsageError("the cluster is not ready:\n  " + "\n  ".join(faults))
    lines = through_the_driver([one.answer for one in checked if not one.member.is_driver], run.data_from)
    for line in [*lines, *(line for one in checked for line in one.warnings)]:
        run.display.note(line)


def cuda_kinds(pool: Pool, trials: Sequence[PlannedTrial]) -> frozenset[str]:
    """The kinds of nodes on whose GPUs some of the trials will run."""
    users = [trial for trial in trials if trial.config.device != "cpu" and trial.gpus != 0]
    return frozenset(kind for kind in pool.kinds if any(trial.allows(kind) for trial in users))


def _need(trial: PlannedTrial) -> str:
    gpus = "" if trial.gpus is None else f", {trial.gpus:g} GPUs"
    return f"accelerator {kinds_in_words(trial.accelerator)} with {trial.cpus:g} CPUs{gpus}"
