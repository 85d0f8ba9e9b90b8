"""Short names of configs: recipe, shape, and the settings in which they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from results.tables.schema import RECIPE_SECTIONS

Settings = Mapping[str, Any]  # recipe, data, config_id and the cfg_* columns of one config

# A setting that these fix needs no mention: naming a family fills twenty.
_NAMES = ("data", "cfg_model_family", "cfg_optimizer_name")
_SHAPE = ("cfg_model_num_layers", "cfg_model_dim")  # in every label
# Settings that usually follow the shape: named only where one shape has two of them.
_OF_SHAPE = frozenset({"cfg_model_num_heads", "cfg_model_num_kv_heads", "cfg_model_rope_dims"})
_SECTION_PREFIXES = tuple(f"cfg_{section}_" for section in RECIPE_SECTIONS)

# Settings whose value speaks for itself.
_BARE = frozenset(
    {"data", "cfg_model_family", "cfg_model_mlp", "cfg_freeze_matrices", "cfg_freeze_scheme", "cfg_optimizer_name"}
    | {"cfg_schedule_name", "cfg_train_precision", "cfg_artifact_codec", "cfg_device"}
    | {"cfg_adapter_kind", "cfg_ensemble_members"}
)
_SHORT = {
    "cfg_optimizer_learning_rate": "lr",
    "cfg_optimizer_weight_decay": "wd",
    "cfg_freeze_seed": "map seed",
    "cfg_freeze_layers": "layers",
    "cfg_adapter_rank": "rank",
    "cfg_adapter_channel_gain": "channel gain",
    "cfg_low_rank_rank": "rank",
    "cfg_low_rank_activation": "between",
    "cfg_distill_temperature": "T",
    "cfg_artifact_matrix_bits": "matrix bits",
    "cfg_artifact_embedding_bits": "embedding bits",
}
_WORDS: dict[tuple[str, Any], str] = {
    ("cfg_freeze_layers", "all"): "",  # as a reader takes it where nothing is said
    ("cfg_model_linear_std", None): "uniform start",
    ("cfg_adapter_channel_gain", False): "",
    ("cfg_progressive_restart", True): "restarted",
    ("cfg_progressive_restart", False): "carried on",
    ("cfg_low_rank_activation", "gelu"): "activated",
    ("cfg_low_rank_activation", "none"): "linear",
}
_MANY = 20
# The first word of a column's name that says only which section it is in.
_SECTIONS = ("model_", "train_", "freeze_", "progressive_", "distill_", "optimizer_", "schedule_")


def config_labels(configs: Sequence[Settings]) -> list[str]:
    """One name per config, such as `selective 6L192d gate+up normal`; names of different configs differ.

    A setting is named if it differs among configs of one data, family and optimizer, and one of a recipe's own section
    if it differs within the recipe. Among twenty configs and more, a value that over half of
    them have goes without saying, outside such sections.
    """
    named = [column for column in _NAMES if _says_more(column, (), configs)]
    others = sorted(column for column in set().union(*configs) if column.startswith("cfg_"))
    differing = [column for column in others if column not in (*_NAMES, *_SHAPE) and _says_more(column, (), configs)]
    differing.sort(key=lambda column: not column.startswith(_SECTION_PREFIXES))
    named += [column for column in differing if _says_more(column, _fixed_by(column), configs)]
    usual = {column: _usual(column, configs) for column in named if not column.startswith(_SECTION_PREFIXES)}
    sections = {column: _section_of(column, others) for column in named}
    return _with_unique_names([_label(config, sections, usual) for config in configs], configs)


def _fixed_by(column: str) -> tuple[str, ...]:
    """The columns that a reader expects to decide this one."""
    if column.startswith(_SECTION_PREFIXES):
        return ("recipe",)
    return _NAMES + _SHAPE if column in _OF_SHAPE else _NAMES


def _says_more(column: str, known: Sequence[str], configs: Sequence[Settings]) -> bool:
    """Whether the column takes two values among configs that are alike in the known columns."""
    if not known:
        return len({config.get(column) for config in configs}) > 1
    seen: dict[tuple[Any, ...], Any] = {}
    return any(
        seen.setdefault(tuple(map(config.get, known)), config.get(column)) != config.get(column) for config in configs
    )


def _usual(column: str, configs: Sequence[Settings]) -> Any:
    """The value that goes without saying; an object that no value is where there is none."""
    value, count = Counter(config.get(column) for config in configs).most_common(1)[0]
    return value if 2 * count > len(configs) >= _MANY else object()


def _label(config: Settings, named: Mapping[str, Sequence[str]], usual: Settings) -> str:
    """Args: `named`: the columns to name, each with all columns of its section if that is one of some recipes only."""
    parts = [str(config.get("recipe") or "?"), _shape(config)]
    for column, section in named.items():
        value = config.get(column)
        is_absent = section and value is None and all(config.get(other) is None for other in section)
        if not (column in usual and value == usual[column]) and not is_absent:
            parts.append(_setting(column, value))
    return " ".join(filter(None, parts))


def _section_of(column: str, columns: Sequence[str]) -> list[str]:
    """The columns of the same section of a recipe; none for a setting of every recipe."""
    prefix = next((prefix for prefix in _SECTION_PREFIXES if column.startswith(prefix)), None)
    return [other for other in columns if prefix is not None and other.startswith(prefix)]


def _shape(config: Settings) -> str:
    layers, dim = config.get("cfg_model_num_layers"), config.get("cfg_model_dim")
    return f"{layers}L{dim}d" if layers is not None and dim is not None else str(config.get("config_id"))[:6]


def _setting(column: str, value: Any) -> str:
    if (column, value) in _WORDS:
        return _WORDS[column, value]
    if column == "cfg_freeze_matrices" and not value:
        return "none frozen"
    if value is None:
        return f"{_short(column)} null"
    if isinstance(value, bool):
        return _short(column) if value else f"no {_short(column)}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text.replace(",", "+") if column in _BARE else f"{_short(column)} {text}"


def _short(column: str) -> str:
    name = column.removeprefix("cfg_")
    section = next((section for section in _SECTIONS if name.startswith(section)), "")
    return _SHORT.get(column, name.removeprefix(section).replace("_", " "))


def _with_unique_names(labels: Sequence[str], configs: Sequence[Settings]) -> list[str]:
    """Append first what tells equal names apart: the accelerator, the data's fingerprint, the config's id."""
    marks: tuple[Callable[[Settings], str], ...] = (
        lambda config: str(config.get("accelerator") or ""),
        lambda config: f"data {str(config.get('data_sha256'))[:6]}",
        lambda config: f"#{str(config.get('config_id'))[:6]}",
    )
    unique = list(labels)
    for mark in marks:
        counts = Counter(unique)
        tails: dict[str, set[str]] = {}
        for label, config in zip(unique, configs, strict=True):
            tails.setdefault(label, set()).add(mark(config))
        unique = [
            f"{label} {mark(config)}" if counts[label] > 1 and len(tails[label]) > 1 else label
            for label, config in zip(unique, configs, strict=True)
        ]
    return unique
