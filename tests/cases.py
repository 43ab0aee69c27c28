"""One table of instances per interface. A final class that is in none of them fails `test_every_final_class_has_a_case`.

Each entry maps a name to a function that builds the instance (after `torch.manual_seed(0)`), so that laws can build
fresh ones in any dtype. Keep each section sorted by file.
"""

from collections.abc import Callable
from types import SimpleNamespace

import torch

import pushforward as pf

CASES: dict[str, dict[str, Callable[[], object]]] = {}


# --- bijections ---
def _stirred(module: torch.nn.Module, scale: float = 0.5) -> torch.nn.Module:
    """Parameters at random, so that nothing sits at a start where everything is zero."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=scale)
    return module


def _coupling(
    mask: list[bool], transformer, condition: int = 0, network=pf.nn.MLP, **settings
) -> pf.bijections.Coupling:
    passing = sum(mask)
    outputs = transformer.size * (len(mask) - passing)
    return pf.bijections.Coupling(
        mask, transformer, _stirred(network(passing, outputs, condition=condition, **settings))
    )


def _mixed_chain() -> pf.bijections.Chain:
    return pf.bijections.Chain(
        [
            _coupling([True, False, True], pf.bijections.AffineTransformer(), condition=2, hidden=[8]),
            pf.bijections.Permutation([2, 0, 1]),
            _coupling([False, True, False], pf.bijections.RationalQuadraticTransformer(4, 3.0), hidden=[8]),
            pf.bijections.Affine(torch.tensor([1.0, 0.0, -3.0]), torch.tensor([2.0, -0.5, 10.0])),
        ]
    )


CASES["bijections"] = {
    "Affine": lambda: pf.bijections.Affine(
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[-2.0, 0.01], [1.0, 30.0]])
    ),
    "Chain": _mixed_chain,
    "Coupling affine": lambda: _coupling([True, False, True, False], pf.bijections.AffineTransformer(), hidden=[8]),
    "Coupling affine, condition only": lambda: _coupling(
        [False], pf.bijections.AffineTransformer(2.0), condition=3, hidden=[8]
    ),
    "Coupling spline": lambda: _coupling(
        [True, False, False], pf.bijections.RationalQuadraticTransformer(), hidden=[8]
    ),
    "Coupling spline, conditional": lambda: _coupling(
        [False, True],
        pf.bijections.RationalQuadraticTransformer(5, 2.0),
        condition=1,
        network=pf.nn.ResidualMLP,
        width=8,
        blocks=1,
    ),
    "Coupling spline, constant": lambda: _coupling([False, False], pf.bijections.RationalQuadraticTransformer(3, 1.0)),
    "Inverse": lambda: pf.bijections.Inverse(_mixed_chain()),
    "Permutation": lambda: pf.bijections.Permutation([3, 1, 0, 2]),
    "Permutation random": lambda: pf.bijections.random_permutation(7, seed=3),
    "Sigmoid": lambda: pf.bijections.Sigmoid((2, 2)),
    "Sigmoid with alpha": lambda: pf.bijections.Sigmoid(3, alpha=0.05, low=-2.0, high=6.0),
    "logit": lambda: pf.bijections.Inverse(pf.bijections.Sigmoid(2, alpha=0.01)),
}

# --- distributions ---
CASES["distributions"] = {
    "Dequantised": lambda: pf.distributions.Dequantised(
        pf.distributions.Gaussian(torch.tensor([0.3, -1.0]), torch.tensor([1.5, 0.7])), torch.tensor([1.0, 0.0])
    ),
    "Flow": lambda: pf.distributions.Flow(
        pf.distributions.Gaussian.standard(3), _mixed_chain(), torch.tensor([1900.0, 3.0]), torch.tensor([50.0, 2.0])
    ),
    "Flow without condition": lambda: pf.distributions.Flow(
        pf.distributions.Uniform(torch.zeros(2), torch.ones(2)),
        pf.bijections.Affine(torch.ones(2), torch.tensor([2.0, -1.0])),
    ),
    "Diffusion": lambda: pf.diffusion.flow_matching(event_shape=2, width=16),
    "Diffusion given numbers": lambda: pf.diffusion.v_diffusion(
        pf.data.Table.of(torch.tensor([[1.0, 7.5, 40.5], [2.0, 9.5, 20.0], [4.0, 6.5, 30.0]])).given("x2"), width=16
    ),
    "Diffusion of images": lambda: pf.diffusion.v_diffusion(event_shape=(1, 4, 4), levels=4, width=8),
    "FullGaussian": lambda: pf.distributions.FullGaussian(
        torch.tensor([0.5, -1.0, 2.0]), torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [-0.3, 0.2, 0.1]])
    ),
    "FullGaussian learned": lambda: pf.distributions.FullGaussian.of_covariance(
        torch.tensor([0.5, -1.0]), torch.tensor([[2.0, 0.9], [0.9, 1.0]]), learn=True
    ),
    "Gaussian": lambda: pf.distributions.Gaussian(torch.tensor([[0.0, 1.0, -2.0]]), torch.tensor([[1.0, 0.1, 30.0]])),
    "Gaussian learned": lambda: pf.distributions.Gaussian(torch.tensor([0.3]), torch.tensor([2.0]), learn=True),
    "Gaussian of numbers": lambda: pf.distributions.Gaussian.standard(()),
    "Mixture": lambda: pf.distributions.Mixture(
        torch.tensor([0.01, 0.5, 0.49]),
        [pf.distributions.Gaussian(torch.tensor([m, -m]), torch.tensor([0.5, 1.0])) for m in (-3.0, 0.0, 2.0)],
    ),
    "Mixture learned": lambda: pf.distributions.Mixture(
        torch.tensor([0.25, 0.75]),
        [
            pf.distributions.Uniform(torch.tensor([-1.0]), torch.tensor([1.0])),
            pf.distributions.Gaussian(torch.tensor([0.0]), torch.tensor([3.0]), learn=True),
        ],
        learn=True,
    ),
    "Uniform": lambda: pf.distributions.Uniform(torch.tensor([0.0, -3.0]), torch.tensor([1.0, 5.0])),
}

# --- diffeq: solvers ---
CASES["solvers"] = {
    "Bosh3": lambda: pf.diffeq.Bosh3(),
    "Dopri5": lambda: pf.diffeq.Dopri5(),
    "Euler": lambda: pf.diffeq.Euler(),
    "Heun": lambda: pf.diffeq.Heun(),
    "Midpoint": lambda: pf.diffeq.Midpoint(),
    "RK4": lambda: pf.diffeq.RK4(),
    "Tsit5": lambda: pf.diffeq.Tsit5(),
}

# --- diffeq: terms ---
CASES["terms"] = {
    "ControlTerm": lambda: pf.diffeq.ControlTerm(
        lambda t, y: torch.stack([y, y**2], -1), SimpleNamespace(evaluate=lambda t: torch.stack([t, t.sin()], -1))
    ),
    "ODETerm": lambda: pf.diffeq.ODETerm(lambda t, y: -y * t.unsqueeze(1)),
}

# --- paths ---
CASES["paths"] = {
    "Cosine": lambda: pf.paths.Cosine(),
    "Linear": lambda: pf.paths.Linear(),
    "VE": lambda: pf.paths.VE(0.02, 30.0),
    "VP": lambda: pf.paths.VP(),
    "VP slow": lambda: pf.paths.VP(beta_min=0.5, beta_max=4.0),
}

# --- kernels ---
CASES["kernels"] = {
    "Ancestral": lambda: pf.diffusion.samplers.Ancestral(steps=10, spacing="time"),
    "DDIM": lambda: pf.diffusion.samplers.DDIM(steps=10, eta=0.5),
    "Langevin": lambda: pf.inference.Langevin(pf.distributions.Gaussian.standard(2), step_size=0.1),
    "ProbabilityFlow": lambda: pf.diffusion.samplers.ProbabilityFlow(steps=5, solver=pf.diffeq.RK4()),
}

# --- processes ---
CASES["processes"] = {
    "ConditionalNeuralProcess": lambda: pf.processes.ConditionalNeuralProcess(2, 3, hidden=32, representation=32),
}

# --- networks ---
CASES["networks"] = {
    "MLP": lambda: pf.nn.MLP(3, 2, hidden=[8, 8], condition=1),
    "ResidualMLP": lambda: pf.nn.ResidualMLP(3, 2, width=8, condition=1),
    "SelfAttention": lambda: pf.nn.SelfAttention(16, heads=2),
    "ConvClassifier": lambda: pf.nn.ConvClassifier(3, (10, 7), classes=4, width=8),
    "DeepSet": lambda: pf.nn.DeepSet(3, 16, hidden=32, layers=2, aggregate="sum"),
    "TimeEmbedding": lambda: pf.nn.TimeEmbedding(16, classes=4),
    "TimeMLP": lambda: pf.nn.TimeMLP(3, hidden=32, layers=2, condition=2),
    "TimeMLP labels": lambda: pf.nn.TimeMLP(3, hidden=32, layers=2, classes=4),
    "UNet": lambda: pf.nn.UNet(1, (8, 8), width=8, classes=4),
    "UNet patches": lambda: pf.nn.UNet(3, (7, 9), width=8, multipliers=(1, 2, 2), blocks=2, patch=2),
}
