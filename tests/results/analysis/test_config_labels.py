"""Names of configs: short, telling, and never the same twice."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from trial_builder import make_trial

from results.analysis.config_labels import config_labels


def test_only_what_differs_is_named() -> None:
    """With equal settings recipe and shape are the name."""
    configs = [
        make_trial(recipe, layers, dim) for recipe in ("baseline", "selective") for layers, dim in ((6, 192), (8, 256))
    ]
    assert config_labels(configs) == ["baseline 6L192d", "baseline 8L256d", "selective 6L192d", "selective 8L256d"]


def test_settings_of_a_recipe_are_named_within_it() -> None:
    """Frozen matrices and scheme are named once they differ among selective configs, and never for the baseline."""
    configs = [
        make_trial("selective"),
        make_trial("selective", cfg_freeze_matrices="gate", cfg_freeze_scheme="orthogonal"),
        make_trial("selective", cfg_freeze_seed=7, cfg_freeze_matrices="q,k"),
        make_trial("baseline"),
    ]
    assert config_labels(configs) == [
        "selective 6L192d gate+up normal map seed null",
        "selective 6L192d gate orthogonal map seed null",
        "selective 6L192d q+k normal map seed 7",
        "baseline 6L192d",
    ]


def test_settings_of_the_studys_recipes() -> None:
    """Ranks, kinds, members and splits read as people say them, each only in configs of the recipe that reads it."""
    configs = [
        make_trial("full_adapter", cfg_adapter_kind="vera", cfg_adapter_rank=8, cfg_adapter_channel_gain=False),
        make_trial("full_adapter", cfg_adapter_kind="lora", cfg_adapter_rank=16, cfg_adapter_channel_gain=False),
        make_trial("ensemble", cfg_ensemble_members="learned,learned"),
        make_trial("ensemble", cfg_ensemble_members="learned,frozen"),
        make_trial("progressive", cfg_progressive_freeze_at=0.3, cfg_progressive_restart=True),
        make_trial("progressive", cfg_progressive_freeze_at=0.5, cfg_progressive_restart=False),
        make_trial(),
    ]
    assert config_labels(configs) == [
        "full_adapter 6L192d vera rank 8",
        "full_adapter 6L192d lora rank 16",
        "ensemble 6L192d learned+learned",
        "ensemble 6L192d learned+frozen",
        "progressive 6L192d freeze at 0.3 restarted",
        "progressive 6L192d freeze at 0.5 carried on",
        "baseline 6L192d",
    ]


def test_in_a_long_list_what_most_have_goes_without_saying() -> None:
    """What over half of twenty configs have is left out, so that the odd ones stand out; in a short list nothing is."""
    usual = [make_trial(layers=layers, cfg_model_linear_std=0.02) for layers in range(1, 20)]
    odd = make_trial(layers=1, cfg_model_mlp="gelu", cfg_model_linear_std=None)
    *names, last = config_labels([*usual, odd])
    assert names == [f"baseline {layers}L192d" for layers in range(1, 20)]
    assert last == "baseline 1L192d uniform start gelu"
    assert config_labels([*usual[:2], odd])[0] == "baseline 1L192d linear std 0.02 geglu"


def test_words_of_settings() -> None:
    """Numbers have their name, words stand alone, switches read as yes or no."""
    configs = [
        make_trial(cfg_model_dropout=0.1, cfg_train_compile=True, cfg_optimizer_learning_rate=3e-4),
        make_trial(cfg_model_dropout=0.0, cfg_train_compile=False, cfg_optimizer_learning_rate=1e-3),
    ]
    assert config_labels(configs) == [
        "baseline 6L192d dropout 0.1 lr 0.0003 compile",
        "baseline 6L192d dropout 0 lr 0.001 no compile",
    ]


def test_a_family_is_named_and_not_all_it_fills() -> None:
    """Settings that follow from family and optimizer go unnamed."""
    competition = {"cfg_model_family": "competition", "cfg_model_mlp": "relu2", "cfg_model_logit_softcap": 30.0}
    muon = {"cfg_optimizer_name": "muon", "cfg_optimizer_learning_rate": 0.04}
    assert config_labels([make_trial(), make_trial(**competition, **muon)]) == [
        "baseline 6L192d study adamw",
        "baseline 6L192d competition muon",
    ]


def test_equal_names_get_a_mark() -> None:
    """What else differs tells equal names apart: accelerator, fingerprint of the data, id of the config."""
    configs = [
        make_trial(accelerator="A40"),
        make_trial(accelerator="H100"),
        make_trial(layers=8, data_sha256="a" * 64),
        make_trial(layers=8, data_sha256="b" * 64),
        make_trial(layers=9, config_id="111111222222"),
        make_trial(layers=9, config_id="333333222222"),
    ]
    assert [label.removeprefix("baseline ") for label in config_labels(configs)] == [
        "6L192d A40",
        "6L192d H100",
        "8L192d data aaaaaa",
        "8L192d data bbbbbb",
        "9L192d #111111",
        "9L192d #333333",
    ]


SETTINGS = st.fixed_dictionaries(
    {
        "recipe": st.sampled_from(["baseline", "selective", None]),
        "data": st.sampled_from(["stdlib", None]),
        "cfg_model_num_layers": st.sampled_from([2, 6, None]),
        "cfg_model_dim": st.just(64),
        "cfg_model_num_heads": st.sampled_from([2, 4, None]),
        "cfg_model_dropout": st.sampled_from([0.0, 0.1, None]),
        "cfg_freeze_matrices": st.sampled_from(["gate,up", "gate", None]),
    }
)


@given(st.lists(SETTINGS, max_size=8, unique_by=lambda settings: str(sorted(settings.items(), key=str))))
def test_names_of_different_configs_differ(configs: list[dict[str, Any]]) -> None:
    """Whatever differs between two configs, their names do, and the order of configs does not matter."""
    configs = [{**config, "config_id": f"{number:06d}"} for number, config in enumerate(configs)]
    labels = config_labels(configs)
    assert len(set(labels)) == len(configs)
    assert config_labels(configs[::-1]) == labels[::-1]


def test_no_config_no_name() -> None:
    """Nothing to name is no error."""
    assert config_labels([]) == []
