"""An autoencoder in training, before its encoder's hidden states: what is minimised and reported.

AuxK (Gao et al., https://arxiv.org/abs/2406.04093): latents that have not been seen for long learn
to rebuild what the others leave over. Matryoshka (Bussmann et al.,
https://arxiv.org/abs/2503.17547): the first latents of the dictionary must do alone, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trivet.core.ragged import Ragged
from trivet.models.latent import Latent
from trivet.models.products import largest, weigh
from trivet.models.sae import Active, TopK
from trivet.models.sae_judge import texts_with

_AUX = 1 / 32  # the weight of what dead latents rebuild: the paper's
_RANKS = (1, 16, 256, 4096)  # of latents whose document frequency is logged


class Rebuilt(nn.Module):
    """Only the autoencoder is trained; in units of the vectors' variance where it is added up."""

    idle: Tensor

    def __init__(
        self,
        model: Latent,
        *,
        widths: Sequence[int] = (),
        aux_k: int = 0,
        dead_after: int = 10_000_000,
        unit: bool = False,
    ) -> None:
        """Train the autoencoder of `model` in place.

        `widths`: how many of the first latents must do alone; `aux_k`: dead latents that rebuild
        what is left over; `dead_after`: tokens without a latent that make it dead, of this rank;
        `unit`: directions are of length 1 at every step.
        """
        super().__init__()
        self.sae: TopK = model.sae
        self.frozen: Callable[[Ragged], Tensor] = model.hidden  # a method is no submodule
        self.widths, self.aux_k, self.dead_after, self.unit = widths, aux_k, dead_after, unit
        self.register_buffer("idle", torch.zeros(model.sae.latents, dtype=torch.int64))
        self._last: tuple[Tensor, Tensor, Active, Tensor] | None = None

    def forward(self, tokens: Ragged) -> Ragged:
        """What each token costs, (T, 1), text by text: its squared error over its dimensions."""
        device = self.sae.center.device
        with torch.no_grad():
            hidden = self.frozen(tokens.to(device))  # (T, D)
        if self.unit:
            self.sae.to_unit()
        active, cost = self.sae.read(hidden)
        rebuilt = self.sae.decode(active)
        errors = (rebuilt - hidden).square().mean(1, keepdim=True)
        if self.widths:
            for width in self.widths:
                errors = errors + self._alone(active, width, hidden)
            errors = errors / (1 + len(self.widths))
        variance = hidden.var(0, unbiased=False).mean()
        if self.aux_k:
            cost = cost + _AUX * self._revived(hidden, (hidden - rebuilt).detach())
        if torch.is_grad_enabled():
            self._notice(hidden, rebuilt, active, tokens.lengths)
        return Ragged(errors + cost * variance, tokens.offsets)

    def report(self) -> dict[str, float]:
        """Of the last micro-batch how well it was rebuilt, and by how much of the dictionary.

        `document_frequency/R`: the share of its texts that the latent of rank R stands in, of each
        as many tokens as fell to this step.
        """
        if self._last is None:
            return {}
        hidden, rebuilt, active, lengths = self._last
        texts = texts_with(active, lengths, self.sae.latents)
        curve = texts.sort(descending=True).values / len(lengths)
        found = {
            "fvu": (rebuilt - hidden).square().sum() / (hidden - hidden.mean(0)).square().sum(),
            "cosine": torch.cosine_similarity(rebuilt, hidden).mean(),
            "l0": (active.weights > 0).sum() / len(hidden),
            "dead": self._dead.float().mean(),
            "alive": (texts > 0).float().mean(),
        }
        ranks = [rank for rank in _RANKS if rank <= len(curve)]
        found |= {f"document_frequency/{rank}": curve[rank - 1] for rank in ranks}
        return {name: float(value) for name, value in found.items()}

    @property
    def _dead(self) -> Tensor:
        return self.idle > self.dead_after

    @torch.no_grad()
    def _notice(self, hidden: Tensor, rebuilt: Tensor, active: Active, lengths: Tensor) -> None:
        self.idle += len(hidden)
        self.idle[active.latents[active.weights > 0]] = 0
        weights = active.weights.detach()
        self._last = hidden, rebuilt.detach(), Active(active.latents, weights), lengths

    def _alone(self, active: Active, width: int, hidden: Tensor) -> Tensor:
        """The error with the first latents only."""
        weights = torch.where(active.latents < width, active.weights, 0)
        rebuilt = self.sae.decode(Active(active.latents, weights))
        return (rebuilt - hidden).square().mean(1, keepdim=True)

    def _revived(self, hidden: Tensor, left: Tensor) -> Tensor:
        """The share of what is left over that dead latents leave over, too."""
        rows = self._dead.nonzero()[:, 0]
        if len(rows) == 0:
            return hidden.new_zeros(())
        encoder, decoder = self.sae.encoder[rows], self.sae.decoder[rows]
        centred = (hidden - self.sae.center).detach()
        chosen, products = largest(centred, encoder, min(self.aux_k, len(rows)))
        weights = weigh(centred, encoder, chosen, products).relu()
        rebuilt = F.embedding_bag(chosen, decoder, per_sample_weights=weights, mode="sum")
        return (rebuilt - left).square().sum() / left.square().sum().clamp(min=1e-12)
