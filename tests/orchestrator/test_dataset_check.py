"""Whether validation text is left to confirm on."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeps import tiny_sweep

from orchestrator.dataset_check import check_text_to_confirm
from orchestrator.search.planner import examples
from search_spaces.spec.problems import SpecError
from search_spaces.spec.sweep_spec import SweepSpec

SPACE = {"model.dim": {"choice": [16, 32]}, "optimizer.learning_rate": {"log_range": [1e-3, 1e-2]}}


def spec_of(folder: Path, tokens: int | None, **changes: object) -> SweepSpec:
    base = {"data": "tiny", "model": {"vocab_size": 512, "num_layers": 1, "num_heads": 2}, "eval": {"tokens": tokens}}
    base |= {"train": {"steps": 20, "sequence_tokens": 32}}
    return tiny_sweep(folder, base=base, space=SPACE, search={"method": "ehvi"}, budget={"trials": 80}, **changes)


def test_text_that_is_left_is_enough(tmp_path: Path, data_root: Path) -> None:
    """The spec stays as it is, without a word."""
    spec, said = spec_of(tmp_path, 512), list[str]()
    assert check_text_to_confirm(spec, examples(spec), data_root, said.append) == spec
    assert spec.num_confirmed == 2 and said == []


def test_without_text_a_default_is_dropped_and_a_wish_is_an_error(tmp_path: Path, data_root: Path) -> None:
    """With a line that says how many tokens are left; what the file insists on is refused before anything starts."""
    spec, said = spec_of(tmp_path, 10**7), list[str]()
    without = check_text_to_confirm(spec, examples(spec), data_root, said.append)
    assert without.num_confirmed == 0 and without.num_to_search == 80
    [line] = said
    assert line.startswith("no confirmation: the validation text of tiny has 0 tokens beside the ")
    wished = spec_of(tmp_path, 10**7, confirm={"configs": 1})
    with pytest.raises(SpecError, match=r"confirm\.configs: the validation text of tiny has 0 tokens"):
        check_text_to_confirm(wished, examples(wished), data_root, said.append)
