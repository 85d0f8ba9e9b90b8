"""Which columns depend on the device, and which rows are compared by them."""

from __future__ import annotations

from results.analysis.per_device import are_per_device, comparable, depends_on_neighbours, is_per_device, left_out_text
from results.tables.schema import TRIALS
from search_spaces.spec.sweep_spec import OBJECTIVES


def test_the_columns_that_depend_on_the_device() -> None:
    """Speed, memory, money and every time; neither losses nor bytes of files."""
    names = [column.name for column in TRIALS if is_per_device(column.name)]
    assert {"tokens_per_s", "train_seconds", "total_seconds", "device_seconds", "usd", "peak_memory_bytes"} <= {*names}
    assert not {"ce", "bpb", "artifact_bytes", "total_bytes", "steps", "num_params"} & {*names}
    assert [name for name in OBJECTIVES if is_per_device(name)] == [
        "tokens_per_s",
        "peak_memory_bytes",
        "total_seconds",
    ]
    assert are_per_device({"ce": "min", "usd": "min"}) and not are_per_device({"ce": "min"})


def test_neighbours_change_times_and_no_bytes() -> None:
    """The memory of a trial is its own, however many are beside it."""
    rows = [{"num_neighbours": number} for number in (0, None, 1, 7)]
    assert [len(comparable(rows, name)) for name in ("tokens_per_s", "total_seconds", "peak_memory_bytes", "ce")] == [
        *(2, 2, 4, 4)
    ]
    assert depends_on_neighbours("usd") and comparable([{}], "usd") == [{}]


def test_what_is_left_out_is_said() -> None:
    """Of rows with a speed; nothing where none is left out."""
    alone, beside = ({"tokens_per_s": 1.0, "num_neighbours": number} for number in (0, 2))
    assert left_out_text([alone, {"tokens_per_s": None, "num_neighbours": 2}, {"tokens_per_s": 1.0}]) is None
    text = left_out_text([alone, beside, beside])
    assert text is not None and text.startswith("2 of 3 trials shared their device with other trials")
