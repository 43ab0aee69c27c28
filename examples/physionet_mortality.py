"""Who dies in hospital, from two days in intensive care? `python examples/physionet_mortality.py [MINUTES]`, 8 by default.

A latent ODE with an ODE-RNN encoder, and a classifier of its latent mean, trained together: minus the ELBO per number and the
cross-entropy of the outcome, after Rubanova, Chen and Duvenaud (2019, https://arxiv.org/abs/1907.03907, tables 4 and 6), who reach an
area under the ROC curve of 0.829 and an interpolation error of 2.118e-3. The error is theirs: the mean square of what the model makes of
points that it was shown, in units in which each channel goes from 0 to 1. Trained on sets a and b, tested on set c, each number
put on the hour that it falls in (theirs: on six minutes). Needs PUSHFORWARD_DATA.
"""

import sys

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

import pushforward as pf
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator
from pushforward.lab.report.predictor import roc_area
from pushforward.parts.data import Series, SeriesBatch

HOURS = 49  # 0 to 48
WEIGHT = 2.0  # of the cross-entropy beside a log-likelihood per number


class Mortality(nn.Module):
    """A latent ODE of the stay, and the log odds of death from the mean of its latent start."""

    def __init__(self, data: Series):
        super().__init__()
        self.process = pf.dynamics.latent_ode(data, latent=20, encoder="ode_rnn", encoder_width=40, field_hidden=(50, 50),
                                              decoder_hidden=(50,), context="all", solver="Tsit5")  # fmt: skip
        self.read_out = nn.Sequential(nn.Linear(20, 50), nn.ReLU(), nn.Linear(50, 1))

    def forward(self, batch: SeriesBatch) -> Tensor:
        """The log odds of death, `(n,)`."""
        return self.read_out(self.process.posterior(batch.context()).mean)[:, 0]

    @staticmethod
    def objective(model: "Mortality", batch: SeriesBatch, generator: RowGenerator) -> Loss:
        """Minus the ELBO per number, and the cross-entropy of the outcome."""
        bound = model.process.objective(model.process, batch, generator).value
        assert batch.labels is not None
        entropy = binary_cross_entropy_with_logits(model(batch), batch.labels.to(batch.x))
        return Loss(bound + WEIGHT * entropy, {"bound": bound.detach(), "entropy": entropy.detach()})


def hourly(data: Series) -> Series:
    """The same stays by the hour; of several numbers of a channel in one hour the last counts."""
    hour = data.t.floor().long().clamp(max=HOURS - 1)
    x = torch.zeros(len(data), HOURS, data.channels)
    observed = torch.zeros(x.shape, dtype=torch.bool)
    row = torch.arange(len(data))
    for i in range(data.t.shape[1]):
        own, at = data.observed[:, i], hour[:, i]
        x[row, at] = torch.where(own, data.x[:, i], x[row, at])
        observed[row, at] |= own
    series = Series(torch.arange(HOURS).float().repeat(len(data), 1), x, observed, data.labels, data.channel_names, data.class_names,
                    "hour", "hours")  # fmt: skip
    return series.compact()


def both(first: Series, second: Series) -> Series:
    """The rows of two sets."""
    pairs = [own for data in (first, second) for own in zip(data.t, data.x, data.observed, data.lengths.tolist())]
    x = [torch.where(seen, x, torch.nan)[:n] for _, x, seen, n in pairs]
    assert first.labels is not None
    assert second.labels is not None
    return Series.ragged([t[:n] for t, _, _, n in pairs], x, torch.cat([first.labels, second.labels]),
                         channel_names=first.channel_names, class_names=first.class_names, time_name="hour", time_unit="hours")  # fmt: skip


@torch.no_grad()
def interpolation_error(process: pf.dynamics.LatentODE, test: Series, scale: Tensor) -> float:
    """Mean square of prediction less observation over all observed numbers, in units of `scale` `(channels,)`."""
    total, count = 0.0, 0
    for rows in torch.arange(len(test)).split(200):
        batch = test.take(rows)
        mean = process.decode(process.posterior(batch.context()).mean, batch.t)
        total += float(torch.where(batch.observed, (mean - batch.x) / scale, 0.0).square().sum(dtype=torch.float64))
        count += int(batch.observed.sum())
    return total / count


def main(minutes: float) -> None:
    """Train, then print the area under the curve and the error on set c."""
    sets = [hourly(pf.data.load("physionet2012", part=name)) for name in "abc"]  # type: ignore[arg-type]
    train, test = both(sets[0], sets[1]), sets[2]
    largest = torch.where(train.observed, train.x, -torch.inf).amax((0, 1))
    span = largest - torch.where(train.observed, train.x, torch.inf).amin((0, 1))
    scale = torch.where(span > 0, span, 1.0)
    model = Mortality(train)
    settings = pf.training.Settings(batch_size=100, learning_rate=5e-3, ema_decay=0.99, patience=0, evaluate_every=50)
    pf.fit(model, train, minutes=minutes, settings=settings)
    with torch.no_grad():
        odds = torch.cat([model(test.take(rows)) for rows in torch.arange(len(test)).split(200)])
    assert test.labels is not None
    error = roc_area(odds, test.labels).std_error
    print(
        f"AUC {roc_auc_score(test.labels.numpy(), odds.numpy()):.3f} +- {error:.3f} on {len(test):,} stays of set c (published: 0.829)"
    )
    print(f"interpolation error {1e3 * interpolation_error(model.process, test, scale):.3f}e-3 (published: 2.118e-3)")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 8.0)
