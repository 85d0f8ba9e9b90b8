"""Logits and losses: cross-entropy, distillation from a teacher."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.model.linear import rounded

NORM_EPSILON = 1e-6


def rms_norm(x: Tensor, gain: Tensor | None = None) -> Tensor:
    """Root-mean-square norm over the last axis, with or without a learned gain."""
    return F.rms_norm(x, (x.size(-1),), gain, NORM_EPSILON)


def logits_of(x: Tensor, norm: Tensor | None, embedding: Tensor, softcap: float | None, rounds: bool) -> Tensor:
    """The tied head: (b, t, d) stream to (b, t, v) float32."""
    x = rms_norm(x, norm)
    logits = F.linear(rounded(x), rounded(embedding)) if rounds else F.linear(x, embedding).float()
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)


def cross_entropies(logits: Tensor, targets: Tensor) -> Tensor:
    """Nats of each target: (b, t, v) and (b, t) to (b, t)."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


def token_losses(
    x: Tensor, norm: Tensor | None, embedding: Tensor, softcap: float | None, rounds: bool, targets: Tensor
) -> Tensor:
    """Cross-entropy of each target from the stream: (b, t) float32."""
    return cross_entropies(logits_of(x, norm, embedding, softcap, rounds), targets)


def distill_losses(
    x: Tensor,
    norm: Tensor | None,
    embedding: Tensor,
    softcap: float | None,
    rounds: bool,
    targets: Tensor,
    teacher_logits: Tensor,
    temperature: float,
    alpha: float,
) -> tuple[Tensor, Tensor]:
    """(1 - alpha) * cross-entropy + alpha * T^2 * KL(teacher || student) of each target, both softened by T.

    Returns it and the cross-entropy alone, each (b, t). The first one's mean is the study's loss (PR #1301: T = 2,
    alpha = 0.5, KL as batch mean over tokens; Hinton et al., 2015).
    """
    logits = logits_of(x, norm, embedding, softcap, rounds)
    student = F.log_softmax(logits / temperature, dim=-1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=-1)
    divergence = F.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=-1)
    ce = cross_entropies(logits, targets)
    return (1 - alpha) * ce + alpha * temperature**2 * divergence, ce
