from __future__ import annotations

import pytest
from pydantic import ValidationError

from trainer.config.model import ModelConfig
from trainer.config.recipe_options import without_unused_sections
from trainer.config.trial import TrialConfig


def test_family_fills_what_is_not_given_and_explicit_settings_win() -> None:
    """Naming a family sets its model settings; a setting that is written down is kept."""
    model = ModelConfig.model_validate({"family": "competition", "num_heads": 8, "dim": 64, "logit_softcap": None})
    assert (model.mlp, model.unet_skips, model.embedding_std) == ("relu2", True, 0.005)
    assert model.logit_softcap is None


def test_replicates_share_a_config_id_and_differ_in_trial_id() -> None:
    """Two seeds of one config are two trials of one group; any other change makes another group."""
    one, two = TrialConfig(seed=1), TrialConfig(seed=2)
    assert one.config_id == two.config_id and one.trial_id != two.trial_id
    assert TrialConfig.model_validate({"train": {"steps": 5}}).config_id != one.config_id


def test_ids_survive_a_round_trip_through_plain_values() -> None:
    """A config written to a file and read back is the same trial."""
    config = TrialConfig.model_validate({"recipe": "selective", "freeze": {"layers": "0,1-3"}})
    assert TrialConfig.model_validate(config.model_dump(mode="json")).trial_id == config.trial_id


def test_patterns_are_kept_as_sorted_text() -> None:
    """A mapping in any order, or a list, is one and the same trial; without patterns the id is what it ever was."""
    forms = ({"*.q": 4, "*.k": 16}, {"*.k": 16, "*.q": 4}, ["*.q=4", "*.k=16"])
    configs = [TrialConfig.model_validate({"artifact": {"bits_by_pattern": form}}) for form in forms]
    assert {config.artifact.bits_by_pattern for config in configs} == {("*.k=16", "*.q=4")}
    assert len({config.trial_id for config in configs}) == 1 and len({hash(config) for config in configs}) == 1
    assert configs[0].artifact.pattern_bits == {"*.k": 16, "*.q": 4}
    plain = TrialConfig.model_validate({"artifact": {"bits_by_pattern": {}}})
    assert plain.trial_id == TrialConfig().trial_id


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model": {"dim": 100, "num_heads": 6}}, "`dim` must be divisible by `num_heads`, but got 100 and 6"),
        ({"model": {"num_heads": 6, "num_kv_heads": 4}}, "`num_heads` must be divisible by `num_kv_heads`"),
        ({"train": {"batch_sequences": 6, "micro_batches": 4}}, "`batch_sequences` must be divisible"),
        ({"freeze": {}}, "`freeze` has no effect with recipe baseline"),
        ({"recipe": "selective", "freeze": {"matrices": ["fc"]}}, "but got fc"),
        ({"recipe": "selective", "freeze": {"layers": "4-9"}}, "must be below num_layers = 6, but got 4-9"),
        ({"recipe": "selective", "freeze": {"layers": "0-99999999999"}}, "must be below num_layers = 6"),
        ({"recipe": "selective", "freeze": {"layers": "3-1"}}, "must name ranges low to high, but got 3-1"),
        (
            {"recipe": "selective", "freeze": {"scheme": "orthogonal"}, "model": {"dim": 36, "num_heads": 2}},
            "whose longer side is divisible by 16, but got gate of 72 x 36",
        ),
        ({"model": {"rope_dims": 3}}, "`rope_dims` must be even"),
        ({"artifact": {"matrix_bits": 1}}, "greater than or equal to 2"),
        ({"artifact": {"matrix_bits": 16}}, "less than or equal to 8"),
        ({"artifact": {"embedding_bits": 9}}, "Input should be 2, 3, 4, 5, 6, 7, 8 or 16"),
        ({"artifact": {"clip_std": 12.85, "clip_percentile": 99.9}}, "exclude each other: remove one, but got 12.85"),
        ({"artifact": {"bits_by_pattern": {"blocks.*.down": 9}}}, "but got blocks.*.down=9"),
        ({"artifact": {"bits_by_pattern": ["4"]}}, "as in blocks.*.down=4, but got 4"),
        ({"artifact": {"bits_by_pattern": ["*.q=4", "*.q=5"]}}, "must name a pattern once"),
        ({"artifact": {"bits_by_pattern": {"blocks.*.fc": 4}}}, "but blocks.*.fc matches none"),
        ({"artifact": {"bits_by_pattern": {"final_norm": 4}}}, "but final_norm matches none"),
        ({"recipe": "selective", "artifact": {"bits_by_pattern": {"*.gate": 4}}}, "but *.gate matches none"),
        ({"artifact": {"bits_by_pattern": {"*.q": 4, "blocks.0.*": 5}}}, "blocks.0.q gets 4 and 5"),
    ],
)
def test_broken_rules_name_the_key_and_the_value(values: dict[str, object], said: str) -> None:
    """Each refusal says which rule is broken and by which value."""
    with pytest.raises(ValidationError) as error:
        TrialConfig.model_validate(values)
    assert said in str(error.value)


def test_unused_sections_are_dropped_only_where_the_recipe_does_not_read_them() -> None:
    """A sweep's base may hold a freeze section that only its selective trials use."""
    values = {"freeze": {"scheme": "uniform"}, "seed": 3}
    assert without_unused_sections({**values, "recipe": "baseline"}) == {"recipe": "baseline", "seed": 3}
    assert "freeze" in without_unused_sections({**values, "recipe": "selective"})


def test_a_teacher_keeps_the_students_kind_and_its_own_shape() -> None:
    """Fewer rotated dimensions where its heads are smaller; shapes that no model can have are refused with the spec."""
    student = {"recipe": "distill", "model": {"dim": 64, "num_heads": 4}}
    config = TrialConfig.model_validate({**student, "distill": {"teacher_dim": 48, "teacher_heads": 6}})
    assert (config.model.rope_dims, config.teacher_model.rope_dims, config.teacher_model.head_dim) == (16, 8, 8)
    for dim, heads in ((48, 5), (30, 6)):
        with pytest.raises(ValueError, match=r"`distill\.teacher_dim` must be an even multiple"):
            TrialConfig.model_validate({**student, "distill": {"teacher_dim": dim, "teacher_heads": heads}})
