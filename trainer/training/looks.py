"""Where a running trial is looked at: the steps, and the validation tokens that are scored there. Free of torch."""

from __future__ import annotations

from trainer.config.trial import TrialConfig
from trainer.recipes.recipe import Recipe

# Of the steps from where the network that is scored is trained first.
SHARES = (0.1, 0.2, 0.35, 0.5, 0.7)
MAX_TIME_SHARE = 0.02  # of a trial's training, for all its looks together
# A token costs three times as much to train as to score: forward, and twice as much backward.
TRAINING_COST_RATIO = 3.0
MAX_TOKENS = 65_536  # more says little more


def look_steps(recipe: Recipe) -> tuple[int, ...]:
    """After which steps a trial is looked at: none before the scored network is trained (the last one of an ensemble).

    At least one step lies before each look, between two of them, and after the last.
    """
    first = first_scored_step(recipe)
    span = recipe.total_steps - first
    steps = {first + max(1, round(share * span)) for share in SHARES}
    return tuple(sorted(step for step in steps if step < recipe.total_steps))


def first_scored_step(recipe: Recipe) -> int:
    """Steps before the phase in which the last of the stored networks begins to be trained."""
    start = 0
    for phase in recipe.phases:
        if phase.network == recipe.stored[-1]:
            break
        start += phase.steps
    return start


def look_tokens(config: TrialConfig, recipe: Recipe) -> int:
    """Validation tokens of each look: whole rows, as many as `MAX_TIME_SHARE` allows and a power of two, at least one.

    Trials that differ a little in their length are so looked at with the same tokens.
    """
    trained = recipe.total_steps * config.train.batch_tokens
    allowed = MAX_TIME_SHARE * TRAINING_COST_RATIO * trained / (len(SHARES) * len(recipe.stored))
    most = min(allowed, MAX_TOKENS, config.eval.tokens or MAX_TOKENS)
    rows = max(1, int(most // config.train.sequence_tokens))
    return int(config.train.sequence_tokens * 2 ** (rows.bit_length() - 1))
