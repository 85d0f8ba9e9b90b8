"""The recipes: functions from a config to networks and phases. Free of torch.

A new variant is a new row in `RECIPES`, never a new loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from trainer.config.shape import FreezeShape, ModelShape, TrialShape
from trainer.recipes.recipe import Network, Phase, Recipe, Weight
from trainer.recipes.weight_shapes import Shape, weight_shapes


def plan(config: TrialShape) -> Recipe:
    """The recipe of a config."""
    return RECIPES[config.recipe](config)


def frozen_names(config: TrialShape) -> tuple[str, ...]:
    """The weights that `freeze` names, in stored order."""
    layers, matrices = _frozen_layers(config), config.frozen_matrices
    return tuple(f"blocks.{layer}.{matrix}" for layer in layers for matrix in matrices)


def baseline(config: TrialShape) -> Recipe:
    """Everything is learned: the control."""
    return _one_phase(config, _network(config.model))


def selective(config: TrialShape) -> Recipe:
    """Chosen matrices stay at seeded random values (parameter-golf PR #1301, "selective freeze")."""
    return _one_phase(config, _network(config.model, seeded=_seeded(config, frozen_names(config))))


def scaled_freeze(config: TrialShape) -> Recipe:
    """Selective freeze with a learned gain per output channel of each frozen matrix (PR #1301, `track_b_*`)."""
    seeded = _seeded(config, frozen_names(config))
    gains = {f"{_correction(name)}.gain": Weight(shape=weight.shape[:1]) for name, weight in seeded.items()}
    return _one_phase(config, _network(config.model, seeded=seeded, extra=gains))


def full_adapter(config: TrialShape) -> Recipe:
    """Seeded matrices, each with a small trained correction beside it.

    `vera` is what PR #1301's code does (Kopiczko et al., arXiv 2310.11454): 2 * rank numbers a matrix; `lora` is what
    its text says (Hu et al., arXiv 2106.09685).
    """
    seeded = _seeded(config, frozen_names(config))
    extra: dict[str, Weight] = {}
    for name, weight in seeded.items():
        extra.update(_adapter(config, name, weight.shape))
    return _one_phase(config, _network(config.model, seeded=seeded, extra=extra))


def progressive(config: TrialShape) -> Recipe:
    """Train everything, then freeze the chosen matrices at their trained values (PR #1301, `exp_a40_apr4.py`)."""
    assert config.progressive is not None
    steps, frozen = config.train.steps, frozen_names(config)
    before = _share(config.progressive.freeze_at, steps)
    first, second = _train_then_freeze(Phase(name="train", steps=before, schedule_steps=before), steps - before, config)
    return Recipe(phases=(first, second), networks={"model": _network(config.model, stored_frozen=frozen)})


def low_rank(config: TrialShape) -> Recipe:
    """A frozen two-matrix MLP with a narrow trained branch beside it (PR #1301, `exp_overnight_apr4.py`)."""
    assert config.low_rank is not None
    rank, dim = config.low_rank.rank, config.model.dim
    layers = _frozen_layers(config)
    extra: dict[str, Weight] = {}
    for layer in layers:
        extra[f"blocks.{layer}.branch_in"] = Weight(shape=(rank, dim))
        extra[f"blocks.{layer}.branch_out"] = Weight(shape=(dim, rank))
    network = _network(config.model, seeded=_seeded(config, frozen_names(config)), extra=extra)
    return _one_phase(config, dataclasses.replace(network, branch=config.low_rank.activation))


def distill(config: TrialShape) -> Recipe:
    """A teacher of its own shape is trained first; the student, partly frozen, learns from it (PR #1301, section 5)."""
    assert config.distill is not None
    settings = config.distill
    teacher_steps = settings.teacher_steps or config.train.steps
    student = Phase(
        name="distill", steps=config.train.steps, loss="distill", teacher="teacher", schedule_steps=config.train.steps
    )
    return Recipe(
        phases=(Phase(name="teacher", network="teacher", steps=teacher_steps, schedule_steps=teacher_steps), student),
        networks={
            "model": _network(config.model, seeded=_seeded(config, frozen_names(config))),
            "teacher": _network(config.teacher_model, prefix="teacher."),
        },
    )


def progressive_distill(config: TrialShape) -> Recipe:
    """Train, learn from a copy of oneself, then freeze (PR #1301, section 6: a third of the steps each).

    Without `restart` the freeze carries on what learning from oneself began; that begins anew in any case.
    """
    assert config.progressive is not None
    settings, steps, frozen = config.progressive, config.train.steps, frozen_names(config)
    first = _share(settings.distill_at, steps)
    second = max(1, _share(settings.freeze_at, steps) - first)
    learn = Phase(
        name="self-distill",
        steps=second,
        loss="distill",
        teacher="teacher",
        copies_teacher=True,
        schedule_steps=second,
    )
    train = Phase(name="train", steps=first, schedule_steps=first)
    phases = (train, *_train_then_freeze(learn, steps - first - second, config))
    network = _network(config.model, stored_frozen=frozen)
    teacher = dataclasses.replace(network, prefix="teacher.")
    return Recipe(phases=phases, networks={"model": network, "teacher": teacher})


def ensemble(config: TrialShape) -> Recipe:
    """Several models whose logits are averaged, all of them in the artifact (PR #1301, section 7)."""
    assert config.ensemble is not None
    steps = config.train.steps
    networks = {}
    for index, member in enumerate(config.ensemble.members):
        prefix = f"member{index}."
        seeded = _seeded(config, frozen_names(config)) if member == "frozen" else {}
        networks[f"member{index}"] = _network(config.model, seeded=seeded, prefix=prefix)
    phases = tuple(Phase(name=name, network=name, steps=steps, schedule_steps=steps) for name in networks)
    return Recipe(phases=phases, networks=networks, stored=tuple(networks))


RECIPES: dict[str, Callable[[TrialShape], Recipe]] = {
    "baseline": baseline,
    "selective": selective,
    "scaled_freeze": scaled_freeze,
    "full_adapter": full_adapter,
    "progressive": progressive,
    "low_rank": low_rank,
    "distill": distill,
    "progressive_distill": progressive_distill,
    "ensemble": ensemble,
}


def _one_phase(config: TrialShape, network: Network) -> Recipe:
    steps = config.train.steps
    return Recipe(phases=(Phase(name="train", steps=steps, schedule_steps=steps),), networks={"model": network})


def _train_then_freeze(before: Phase, steps: int, config: TrialShape) -> tuple[Phase, Phase]:
    """A phase and the one of `steps` after its freeze: each with a schedule of its own, or both on one."""
    assert config.progressive is not None
    settings, frozen = config.progressive, frozen_names(config)
    after = Phase(name="frozen", steps=steps, freezes=frozen, rate=settings.learning_rate_ratio, schedule_steps=steps)
    if settings.restart:
        return before, after
    together = before.steps + steps
    carried_on = dataclasses.replace(after, restarts=False, schedule_start=before.steps, schedule_steps=together)
    return dataclasses.replace(before, schedule_steps=together), carried_on


def _network(
    model: ModelShape,
    *,
    seeded: Mapping[str, Weight] | None = None,
    stored_frozen: Iterable[str] = (),
    extra: Mapping[str, Weight] | None = None,
    prefix: str = "",
) -> Network:
    weights = {name: Weight(shape=shape) for name, shape in weight_shapes(model).items()}
    weights.update({name: dataclasses.replace(weights[name], kind="stored_frozen") for name in stored_frozen})
    return Network(model=model, weights={**weights, **(seeded or {}), **(extra or {})}, prefix=prefix)


def _seeded(config: TrialShape, names: Iterable[str]) -> dict[str, Weight]:
    freeze, shapes, seed = _freeze(config), weight_shapes(config.model), _map_seed(config)
    return {name: Weight(shape=shapes[name], kind="seeded", scheme=freeze.scheme, seed=seed) for name in names}


def _frozen_layers(config: TrialShape) -> list[int]:
    return sorted(_freeze(config).layer_set(config.model.num_layers))


def _freeze(config: TrialShape) -> FreezeShape:
    """The section that every recipe but `baseline` has."""
    assert config.freeze is not None
    return config.freeze


def _map_seed(config: TrialShape) -> int:
    """The seed of frozen maps: the trial's, unless `freeze.seed` gives one."""
    seed = _freeze(config).seed
    return config.seed if seed is None else seed


def _adapter(config: TrialShape, name: str, shape: Shape) -> dict[str, Weight]:
    """The weights of one matrix's correction."""
    assert config.adapter is not None
    (num_outputs, num_inputs), rank, at = shape, config.adapter.rank, _correction(name)
    gain = {f"{at}.gain": Weight(shape=(num_outputs,))} if config.adapter.channel_gain else {}
    if config.adapter.kind == "lora":
        pair = {f"{at}.lora_a": Weight(shape=(rank, num_inputs)), f"{at}.lora_b": Weight(shape=(num_outputs, rank))}
        return {**gain, **pair}
    seed = _map_seed(config)
    return {
        **gain,
        f"{at}.vera_a": Weight(shape=(rank, num_inputs), kind="seeded", seed=seed),
        f"{at}.vera_b": Weight(shape=(num_outputs, rank), kind="seeded", seed=seed),
        f"{at}.scale_a": Weight(shape=(rank,)),
        f"{at}.scale_b": Weight(shape=(rank,)),
    }


def _correction(name: str) -> str:
    """Where the corrections of a matrix live: `blocks.3.gate` has `blocks.3.corrections.gate`."""
    block, _, matrix = name.rpartition(".")
    return f"{block}.corrections.{matrix}"


def _share(share: float, steps: int) -> int:
    """So many of `steps`, but at least one, and one left."""
    return min(max(1, round(share * steps)), max(1, steps - 1))


def break_even_rank(shape: Shape) -> int:
    """The rank from which a low-rank pair holds as many numbers as the matrix itself: io / (i + o), rounded up."""
    return -(-shape[0] * shape[1] // (shape[0] + shape[1]))
