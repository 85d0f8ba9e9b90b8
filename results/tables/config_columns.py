"""The columns of the table of configs: with bpb as an objective, `ce_test` and the claims are in bits per byte."""

from __future__ import annotations

from results.tables.columns import BOOL, FLOAT, INT, STRING, Column

_SCORE = "nats/token"

CONFIGS: tuple[Column, ...] = (
    Column("config_id", STRING, "", "as in the table of trials", 5),
    Column("label", STRING, "", "short name: recipe, shape, and the settings in which configs differ", 5),
    Column("recipe", STRING, "", "as in the table of trials", 5),
    Column("data", STRING, "", "as in the table of trials", 5),
    Column("accelerator", STRING, "", "only where an objective depends on the device: a config has a row for each", 7),
    Column("num_seeds", INT, "seeds", "with a score", 5),
    Column("ce", FLOAT, _SCORE, "mean over seeds", 5),
    Column("ce_half_width", FLOAT, _SCORE, "of its 95 % interval; null for one seed", 5),
    Column("bpb", FLOAT, "bits/byte", "mean over seeds", 5),
    Column("artifact_bytes", INT, "bytes", "largest of the seeds", 5),
    Column("feasible", BOOL, "", "all artifacts keep all constraints; null if unknown", 5),
    Column("rank", INT, "", "layer of non-dominated sorting among the feasible; 0 is the front", 5),
    Column("on_front", BOOL, "", "rank is 0", 5),
    Column("front_probability", FLOAT, "", "that it is on the front, given how seeds differ; null if unknown", 5),
    Column("ce_test", FLOAT, f"{_SCORE} or bits/byte", "mean over fresh seeds, on text that no choice has seen", 5),
    Column("ce_test_half_width", FLOAT, f"{_SCORE} or bits/byte", "of its 95 % interval", 5),
    Column("num_fresh_seeds", INT, "seeds", "of ce_test", 5),
    Column("claim_against", STRING, "", "config_id of the rival of equal bytes; null without a claim", 5),
    Column("claim_difference", FLOAT, f"{_SCORE} or bits/byte", "of ce_test to the rival's; negative is better", 5),
    Column("claim_half_width", FLOAT, f"{_SCORE} or bits/byte", "of its 95 % interval", 5),
    Column("claim_p", FLOAT, "", "p-value, by Holm for all claims of the run", 5),
    Column("claim_decided", BOOL, "", "whether the claim stands, at level 0.05", 5),
)
