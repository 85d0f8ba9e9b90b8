"""The settings of a trial by their key in sweep files (`model.dim`) and by their column (`cfg_model_dim`)."""

from __future__ import annotations

from results.tables.schema import TRIALS

# Settings whose column has the name of the key.
_BARE = ("recipe", "data")
COLUMN_OF_KEY: dict[str, str] = {
    **{name: name for name in _BARE},
    **{column.meaning.split("`")[1]: column.name for column in TRIALS if column.name.startswith("cfg_")},
}
KEY_OF_COLUMN: dict[str, str] = {column: key for key, column in COLUMN_OF_KEY.items()}
