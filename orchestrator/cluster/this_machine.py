"""The check of this machine alone, by the same probe and the same rules as those of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.cluster.data_probe import drivers_data
from orchestrator.cluster.diagnosis import Demands, findings
from orchestrator.cluster.node_facts import Member, Question
from orchestrator.cluster.node_table import Checked
from orchestrator.cluster.probe import probe_driver, probe_folder
from orchestrator.cluster.ray_start import OBJECT_STORE_BYTES
from orchestrator.scheduling.placement import CPU
from trainer.versions import own_versions


def check_this_machine(out: Path, data_root: Path, names: Sequence[str]) -> Checked:
    """What is found of this machine, which drives and runs trials.

    Args:
        out: the run folder, or the folder of runs.
        names: of the datasets.
    """
    _, data = drivers_data(names, data_root)
    with probe_folder(out) as folder:
        question = Question(folder=folder.path, session=folder.session, data_root=data_root)
        facts = probe_driver(question, data, folder.error)
    kind = "GPU" if facts.torch and facts.torch.num_cuda else CPU
    member = Member(name="this", host=facts.host, kind=kind, is_driver=True, object_store_bytes=OBJECT_STORE_BYTES)
    return Checked(member=member, answer=facts, findings=findings(member, facts, Demands(versions=own_versions())))
