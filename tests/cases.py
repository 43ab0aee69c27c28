"""One table of instances per interface. A final class that is in none of them fails `test_every_final_class_has_a_case`.

Each entry maps a name to a function that builds the instance (after `torch.manual_seed(0)`), so that laws can build
fresh ones in any dtype. Keep each section sorted by file.
"""

from collections.abc import Callable
from types import SimpleNamespace

import torch

import pushforward as pf
from pushforward.models.autoregressive.columns import ColumnOutputs
from pushforward.parts.distributions import outputs

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


def _image_coupling(mask: str, transformer, network=pf.nn.CouplingConvNet, shape=(2, 4, 4), **settings):
    inputs = outputs = shape[0]
    if mask.startswith("channel"):
        inputs = shape[0] - shape[0] // 2 if mask.endswith("swapped") else shape[0] // 2
        outputs = shape[0] - inputs
    network = _stirred(network(inputs, transformer.size * outputs, width=4, **settings), 0.3)
    return pf.bijections.ImageCoupling(shape, mask, transformer, network)


def _actnorm_conv(shape=(4, 2, 2), kind: str = "plu") -> pf.bijections.ActNormConv:
    return _stirred(
        pf.bijections.ActNormConv(pf.bijections.ActNorm(shape), pf.bijections.InvertibleConv1x1(shape, kind)), 0.3
    )


def _autoregressive(inputs: int, transformer, solve: str = "columns", **settings) -> pf.bijections.MaskedAutoregressive:
    return pf.bijections.MaskedAutoregressive(
        transformer, _stirred(pf.nn.MaskedMLP(inputs, transformer.size, hidden=[8, 6], **settings), 0.4), solve
    )


def _multi_scale() -> pf.bijections.MultiScale:
    affine = pf.bijections.AffineTransformer()
    deep = pf.bijections.Chain([_image_coupling("channel", affine, shape=(8, 1, 1)), pf.bijections.Squeeze((2, 2, 2))])
    parts = [_image_coupling("channel", affine, shape=(4, 2, 2)), _actnorm_conv(), pf.bijections.Squeeze((1, 4, 4))]
    return pf.bijections.MultiScale([deep, pf.bijections.Chain(parts)])


def _token_autoregressive(tokens: int = 3, width: int = 2, **settings) -> pf.bijections.TokenAutoregressive:
    network = _stirred(pf.nn.CausalTransformer(tokens, width, 2 * width, width=8, heads=2, blocks=2, **settings), 0.3)
    return pf.bijections.TokenAutoregressive(pf.bijections.AffineTransformer(), network)


def _continuous(field: torch.nn.Module, scale: float = 0.2, **settings) -> pf.bijections.Continuous:
    """Few steps of high order, so that both directions undo each other to rounding."""
    return pf.bijections.Continuous(_stirred(field, scale), solver=pf.diffeq.Dopri8(), step_size=0.5, **settings)


CASES["bijections"] = {
    "ActNorm": lambda: _stirred(pf.bijections.ActNorm((2, 2, 3))),
    "ActNorm of vectors": lambda: _stirred(pf.bijections.ActNorm(3)),
    "ActNormConv": _actnorm_conv,
    "Affine": lambda: pf.bijections.Affine(
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[-2.0, 0.01], [1.0, 30.0]])
    ),
    "Chain": _mixed_chain,
    "ClassPrior": lambda: _stirred(pf.bijections.ClassPrior((1, 2, 2), classes=4)),
    "Continuous": lambda: _continuous(pf.nn.VelocityMLP(2, [6, 5], condition=2)),
    "Continuous of images": lambda: _continuous(pf.nn.VelocityConvNet((1, 1, 2), width=2, layers=2), trace="exact"),
    "Continuous, deep": lambda: _continuous(pf.nn.VelocityMLP(2, [4, 4, 4], "softplus")),
    "Continuous, planar": lambda: _continuous(pf.bijections.PlanarField(2, width=4, condition=1, hidden=[4])),
    "Coupling additive": lambda: _coupling([True, False, True], pf.bijections.AdditiveTransformer(), hidden=[8]),
    "Coupling affine": lambda: _coupling([True, False, True, False], pf.bijections.AffineTransformer(), hidden=[8]),
    "Coupling affine, condition only": lambda: _coupling(
        [False], pf.bijections.AffineTransformer(2.0), condition=3, hidden=[8]
    ),
    "Coupling circular": lambda: _coupling(
        [True, False, False],
        pf.bijections.CircularSplineTransformer(5),
        condition=1,
        network=lambda a, b, **of: pf.nn.Periodic(pf.nn.MLP(2 * a, b, hidden=[8], **of)),
    ),
    "Coupling Bernstein": lambda: _coupling(
        [True, False, True], pf.bijections.BernsteinTransformer(6, 3.0), hidden=[8], condition=1
    ),
    "Coupling integral": lambda: _coupling(
        [False, True, False], pf.bijections.IntegralTransformer(3, 4, 3.0), hidden=[8], condition=1
    ),
    "Coupling neural": lambda: _coupling(
        [True, False, False], pf.bijections.NeuralTransformer(4, 5.0), hidden=[8], condition=1
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
    "Coupling sum of squares": lambda: _coupling(
        [True, False, False], pf.bijections.SumOfSquaresTransformer(2, 3, 3.0), hidden=[8], condition=1
    ),
    "Diagonal": lambda: _stirred(pf.bijections.Diagonal(3)),
    "Flip": lambda: pf.bijections.Flip((3, 2)),
    "ImageCoupling channel": lambda: _image_coupling("channel", pf.bijections.AffineTransformer()),
    "ImageCoupling channel, swapped, by class": lambda: _image_coupling(
        "channel_swapped", pf.bijections.AffineTransformer(), shape=(3, 2, 2), classes=4
    ),
    "ImageCoupling checkerboard": lambda: _image_coupling(
        "checkerboard", pf.bijections.RationalQuadraticTransformer(4, 3.0), pf.nn.CouplingResNet, shape=(1, 3, 4)
    ),
    "ImageCoupling checkerboard, swapped, by class": lambda: _image_coupling(
        "checkerboard_swapped", pf.bijections.AffineTransformer(), pf.nn.CouplingResNet, shape=(2, 2, 2), classes=4
    ),
    "ImageCoupling checkerboard, guided by an image": lambda: pf.bijections.ImageCoupling(
        (1, 2, 3),
        "checkerboard",
        pf.bijections.AffineTransformer(),
        _stirred(pf.nn.CouplingResNet(1, 2, 4, 1, guide=2)),
    ),
    "Inverse": lambda: pf.bijections.Inverse(_mixed_chain()),
    "InvertibleConv1x1": lambda: _stirred(pf.bijections.InvertibleConv1x1((3, 2, 2))),
    "InvertibleConv1x1 dense": lambda: pf.bijections.InvertibleConv1x1((4, 1, 2), "dense", seed=1),
    "InvertibleConv1x1 of vectors": lambda: _stirred(pf.bijections.InvertibleConv1x1((3,), seed=2)),
    "MaskedAutoregressive": lambda: _autoregressive(4, pf.bijections.AffineTransformer(), order=[2, 0, 3, 1]),
    "MaskedAutoregressive by Jacobi's iteration": lambda: _autoregressive(
        3, pf.bijections.AffineTransformer(), "jacobi", activation="tanh"
    ),
    "MaskedAutoregressive circular": lambda: _autoregressive(2, pf.bijections.CircularSplineTransformer(4)),
    "MaskedAutoregressive of one feature": lambda: _autoregressive(1, pf.bijections.AffineTransformer(), condition=2),
    "MaskedAutoregressive spline, conditional": lambda: _autoregressive(
        3, pf.bijections.RationalQuadraticTransformer(4, 3.0), condition=2, activation="silu"
    ),
    "MaskedAutoregressive turned round": lambda: pf.bijections.Inverse(
        _autoregressive(3, pf.bijections.InverseTransformer(pf.bijections.AffineTransformer()), condition=1)
    ),
    "MultiScale": _multi_scale,
    "LULinear": lambda: _stirred(pf.bijections.LULinear(4)),
    "LULinear of a matrix": lambda: pf.bijections.LULinear.of(torch.tensor([[0.0, 2.0], [3.0, 1.0]]), torch.ones(2)),
    "LULinear permuted": lambda: _stirred(pf.bijections.LULinear(4, seed=1)),
    "Orthogonal": lambda: _stirred(pf.bijections.Orthogonal(3)),
    "Patches": lambda: pf.bijections.Patches((2, 2, 4), 2),
    "MaskedAutoregressive Bernstein": lambda: pf.bijections.MaskedAutoregressive(
        pf.bijections.BernsteinTransformer(5, 3.0), _stirred(pf.nn.MaskedMLP(3, 6, [8], "tanh"))
    ),
    "MaskedAutoregressive integral": lambda: pf.bijections.MaskedAutoregressive(
        pf.bijections.IntegralTransformer(2, 4, 3.0), _stirred(pf.nn.MaskedMLP(3, 3, [8], "tanh", order=[2, 0, 1]))
    ),
    "MaskedAutoregressive neural": lambda: pf.bijections.MaskedAutoregressive(
        pf.bijections.NeuralTransformer(3, 5.0), _stirred(pf.nn.MaskedMLP(3, 9, [8], "tanh", condition=1))
    ),
    "MaskedAutoregressive sum of squares": lambda: pf.bijections.MaskedAutoregressive(
        pf.bijections.SumOfSquaresTransformer(2, 2, 3.0), _stirred(pf.nn.MaskedMLP(3, 7, [8], "tanh"))
    ),
    "Permutation": lambda: pf.bijections.Permutation([3, 1, 0, 2]),
    "Permutation random": lambda: pf.bijections.random_permutation(7, seed=3),
    "Planar": lambda: _stirred(pf.bijections.Planar(3), 1.0),
    "Planar, conditional": lambda: _stirred(pf.bijections.Planar(2, condition=2, hidden=[8])),
    "QRLinear": lambda: _stirred(pf.bijections.QRLinear(3, reflections=3)),
    "Radial": lambda: _stirred(pf.bijections.Radial(3), 1.0),
    "Radial, conditional": lambda: _stirred(pf.bijections.Radial(2, condition=2, hidden=[8])),
    "Residual": lambda: pf.bijections.Residual(
        _stirred(pf.nn.ContractiveMLP(3, hidden=[8, 8], coefficient=0.9, condition=2))
    ),
    "Residual of images": lambda: pf.bijections.Residual(
        _stirred(pf.nn.ContractiveConv((2, 2, 2), channels=[3], kernels=[3, 3], coefficient=0.8, activation="elu"))
    ),
    "Residual of numbers": lambda: pf.bijections.Residual(
        _stirred(pf.nn.ContractiveMLP(1, hidden=[8], coefficient=0.8, activation="tanh"))
    ),
    "Residual turned round": lambda: pf.bijections.Inverse(
        pf.bijections.Residual(_stirred(pf.nn.ContractiveMLP(2, hidden=[8], coefficient=0.9, activation="softplus")))
    ),
    "Reshape": lambda: pf.bijections.Reshape((2, 3), 6),
    "Sigmoid": lambda: pf.bijections.Sigmoid((2, 2)),
    "Sigmoid with alpha": lambda: pf.bijections.Sigmoid(3, alpha=0.05, low=-2.0, high=6.0),
    "Squeeze": lambda: pf.bijections.Squeeze((2, 4, 6)),
    "Sylvester": lambda: _stirred(pf.bijections.Sylvester(4, rank=2), 1.0),
    "Sylvester householder": lambda: _stirred(pf.bijections.Sylvester(3, 2, "householder", reflections=3)),
    "Sylvester triangular": lambda: _stirred(pf.bijections.Sylvester(3, 3, "triangular", reverse=True)),
    "Sylvester, conditional": lambda: _stirred(pf.bijections.Sylvester(2, condition=2, hidden=[8])),
    "TokenAutoregressive": lambda: _token_autoregressive(),
    "TokenAutoregressive, by class": lambda: _token_autoregressive(classes=4),
    "TokenAutoregressive, conditional": lambda: _token_autoregressive(tokens=4, width=1, condition=2),
    "logit": lambda: pf.bijections.Inverse(pf.bijections.Sigmoid(2, alpha=0.01)),
}


# --- distributions ---
def _noise_images() -> pf.data.Images:
    return pf.data.Images.of(torch.randint(0, 4, (20, 5, 6)), levels=4)


def _mixed_made() -> pf.autoregressive.MADE:
    kinds = [outputs.Bernoulli(), outputs.Categorical(3), outputs.LogisticMixture(2, levels=9)]
    columns = ColumnOutputs(kinds, torch.tensor([0.0, 3.0, -4.0]), torch.ones(3))
    return _stirred(pf.autoregressive.MADE(columns, [8, 6], orders=[[0, 1, 2], [2, 0, 1]]), 0.3)


CASES["distributions"] = {
    "Autoencoder": lambda: pf.latent.autoencoder(torch.randn(20, 3) * 5, latents=2, width=8),
    "Autoencoder of images": lambda: pf.latent.autoencoder(_noise_images(), latents=2, width=8),
    "BridgeFlow": lambda: pf.diffusion.BridgeFlow(
        pf.nn.TimeMLP(2, hidden=16, outputs=4), torch.randn(50, 2), sigma=0.5
    ),
    "BoltzmannMachine": lambda: _stirred(pf.energy.boltzmann_machine(features=3)),
    "BoltzmannMachine of 22 numbers": lambda: _stirred(
        pf.energy.BoltzmannMachine(pf.energy.Bits(22), chains=8, sweeps=3), 0.1
    ),
    "Consistency": lambda: pf.diffusion.consistency(event_shape=2, width=16),
    "Consistency of a teacher": lambda: pf.diffusion.consistency(
        teacher=pf.diffusion.flow_matching(event_shape=2, width=16), event_shape=2, width=16
    ),
    "Dequantised": lambda: pf.distributions.Dequantised(
        pf.distributions.Gaussian(torch.tensor([0.3, -1.0]), torch.tensor([1.5, 0.7])), torch.tensor([1.0, 0.0])
    ),
    "EnergyModel": lambda: pf.energy.EnergyModel(
        pf.latent.Units((2,)), pf.nn.MLP(2, 1, hidden=[8]), pf.energy.EnergyTraining("denoising"), buffer=64, steps=10
    ),
    "EnergyModel of images": lambda: pf.energy.energy_model(_noise_images(), width=4, sample_steps=3),
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
    "ScoreNetwork": lambda: pf.diffusion.ScoreNetwork(2, pf.nn.MLP(2, 2, hidden=[8]), loc=1.0, scale=2.0, steps=10),
    "ScoreNetwork of an energy": lambda: pf.diffusion.ScoreNetwork(
        2, pf.nn.MLP(2, 1, hidden=[8]), energy=True, loss="implicit", steps=10
    ),
    "Diffusion with learned variances": lambda: pf.diffusion.ddpm(
        event_shape=2, width=16, schedule="linear", learned_variance=True
    ),
    "Diffusion, preconditioned": lambda: pf.diffusion.edm(event_shape=2, width=16),
    "FullGaussian": lambda: pf.distributions.FullGaussian(
        torch.tensor([0.5, -1.0, 2.0]), torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [-0.3, 0.2, 0.1]])
    ),
    "FullGaussian learned": lambda: pf.distributions.FullGaussian.of_covariance(
        torch.tensor([0.5, -1.0]), torch.tensor([[2.0, 0.9], [0.9, 1.0]]), learn=True
    ),
    "Gaussian": lambda: pf.distributions.Gaussian(torch.tensor([[0.0, 1.0, -2.0]]), torch.tensor([[1.0, 0.1, 30.0]])),
    "Gaussian learned": lambda: pf.distributions.Gaussian(torch.tensor([0.3]), torch.tensor([2.0]), learn=True),
    "Gaussian of numbers": lambda: pf.distributions.Gaussian.standard(()),
    "GaussianMixture": lambda: pf.diffusion.exact.GaussianMixture(
        torch.tensor([0.3, 0.7]), torch.tensor([[-1.0, 0.5], [1.0, 0.0]]), torch.tensor([[[0.3, 0.1], [0.1, 0.2]]] * 2)
    ),
    "GaussianMixture, diagonal": lambda: pf.diffusion.exact.GaussianMixture(
        torch.tensor([0.3, 0.7]), torch.tensor([[-1.0, 0.5], [1.0, 0.0]]), torch.tensor([[0.2, 0.4], [0.3, 0.1]])
    ),
    "JointEnergy": lambda: pf.energy.joint_energy(features=2, classes=3, width=8, sample_steps=5),
    "MADE": lambda: _mixed_made(),
    "MADE given a class and a number": lambda: _stirred(
        pf.autoregressive.MADE(
            ColumnOutputs([outputs.NormalMixture(2)] * 2),
            [8],
            condition_levels=[3, 0],
            condition_loc=torch.tensor([1.0, 5.0]),
            condition_scale=torch.tensor([1.0, 2.0]),
        ),
        0.3,
    ),
    "PixelCNN": lambda: _stirred(pf.autoregressive.pixel_cnn(event_shape=(3, 2, 3), levels=4, width=6, blocks=1), 0.3),
    "PixelCNN by class, mixture": lambda: _stirred(
        pf.autoregressive.pixel_cnn(event_shape=(3, 2, 2), levels=40, width=6, blocks=1, components=2, classes=3), 0.3
    ),
    "PixelCNN in black and white": lambda: pf.autoregressive.pixel_cnn(
        event_shape=(1, 3, 2), levels=9, width=4, blocks=1, kernel=3, binarise="fixed"
    ),
    "LatentDiffusion": lambda: pf.latent.latent_diffusion(
        pf.data.Table.of(torch.randn(20, 3) * 5).given("x2"), latents=2, width=16
    ),
    "LatentDiffusion of images": lambda: pf.latent.latent_diffusion(_noise_images(), latents=2, width=8),
    "Logistic": lambda: pf.distributions.Logistic(torch.tensor([0.3, -2.0]), torch.tensor([1.5, 0.2])),
    "GenerativeAdversarial": lambda: pf.latent.gan(torch.randn(20, 2) * 3, latents=4, hidden=[8]),
    "GenerativeAdversarial given numbers": lambda: pf.latent.gan(
        pf.data.Table.of(torch.randn(20, 3)).given("x2"), loss="wasserstein", hidden=[8]
    ),
    "GenerativeAdversarial of images": lambda: _stirred(pf.latent.gan(_noise_images(), network="conv", hidden=[4, 8])),
    "HybridModel": lambda: pf.flows.HybridModel(
        pf.distributions.Dequantised(pf.flows.realnvp(features=2, layers=2, hidden=[8]), torch.tensor([1.0, 0.0])),
        pf.nn.MLP(2, 3, hidden=[]),
    ),
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
    "Regularised": lambda: pf.flows.ffjord(
        features=2, condition=1, hidden=[8], kinetic=0.1, jacobian=0.1, tolerance=1e-7
    ),
    "RestrictedBoltzmannMachine": lambda: _stirred(pf.energy.rbm(features=5, hidden=3)),
    "RestrictedBoltzmannMachine, large": lambda: pf.energy.RestrictedBoltzmannMachine(
        pf.energy.Bits((1, 4, 5)), 17, chains=8, sweeps=3
    ),
    "Uniform": lambda: pf.distributions.Uniform(torch.tensor([0.0, -3.0]), torch.tensor([1.0, 5.0])),
    "VariationalAutoencoder": lambda: pf.latent.vae(torch.randn(20, 3) * 5, latents=2, hidden=[8]),
    "VariationalAutoencoder of grey images": lambda: pf.latent.vae(
        _noise_images(), latents=3, posterior="planar", network="conv", likelihood="bernoulli", hidden=[4, 8]
    ),
    "VariationalAutoencoder of pixels": lambda: pf.latent.vae(
        _noise_images(), latents=2, posterior="sylvester", flow_layers=2, hidden=[8]
    ),
    "VariationalAutoencoder with flows": lambda: pf.latent.vae(
        torch.randn(20, 2), latents=2, posterior="iaf", prior="flow", flow_layers=1, hidden=[8]
    ),
    "VariationalDequantised": lambda: pf.distributions.VariationalDequantised(
        pf.distributions.Gaussian(torch.tensor([0.3, -1.0]), torch.tensor([1.5, 0.7])),
        _coupling([False], pf.bijections.AffineTransformer(), condition=2, hidden=[8]),
        torch.tensor([1.0, 0.0]),
        loc=torch.tensor([0.3, -1.0]),
        scale=torch.tensor([1.5, 0.7]),
    ),
    "WaveNet": lambda: pf.autoregressive.WaveNet(
        8,
        pf.autoregressive.AmplitudeLevels(16),
        pf.distributions.outputs.Categorical(16),
        width=4,
        skip=4,
        dilations=[1, 2],
    ),
    "WaveNet by class, 16 bits": lambda: pf.autoregressive.wavenet(
        length=6, outputs="logistic_mixture", layers=2, stacks=1, width=4, skip=4, classes=3
    ),
    "WaveNet with features": lambda: pf.autoregressive.wavenet(
        length=6, layers=2, stacks=1, width=4, skip=4, features=2, hop=4
    ),
}

# --- diffeq: solvers ---
CASES["solvers"] = {
    "Bosh3": lambda: pf.diffeq.Bosh3(),
    "Dopri5": lambda: pf.diffeq.Dopri5(),
    "Dopri8": lambda: pf.diffeq.Dopri8(),
    "Euler": lambda: pf.diffeq.Euler(),
    "EulerMaruyama": lambda: pf.diffeq.EulerMaruyama(),
    "Heun": lambda: pf.diffeq.Heun(),
    "Kvaerno3": lambda: pf.diffeq.Kvaerno3(),
    "Kvaerno5": lambda: pf.diffeq.Kvaerno5(),
    "Midpoint": lambda: pf.diffeq.Midpoint(),
    "Milstein": lambda: pf.diffeq.Milstein(),
    "ReversibleHeun": lambda: pf.diffeq.ReversibleHeun(),
    "RK4": lambda: pf.diffeq.RK4(),
    "StochasticHeun": lambda: pf.diffeq.StochasticHeun(),
    "StochasticRungeKutta": lambda: pf.diffeq.StochasticRungeKutta(),
    "Tsit5": lambda: pf.diffeq.Tsit5(),
}

# --- diffeq: terms ---
CASES["terms"] = {
    "ControlTerm": lambda: pf.diffeq.ControlTerm(
        lambda t, y: torch.stack([y, y**2], -1), SimpleNamespace(evaluate=lambda t: torch.stack([t, t.sin()], -1))
    ),
    "ControlTerm along a spline": lambda: pf.diffeq.ControlTerm(
        lambda t, y: torch.stack([y, y**2], -1),
        pf.diffeq.interpolation.natural_cubic(torch.tensor([0.0, 1.0, 3.0]), torch.randn(2, 3, 2)),
    ),
    "DiffusionTerm": lambda: pf.diffeq.DiffusionTerm(lambda t, y: 0.5 * y, pf.diffeq.WienerIncrements(2, seed=0)),
    "DiffusionTerm along a path": lambda: pf.diffeq.DiffusionTerm(
        lambda t, y: torch.stack([y, y**2, y.cos()], -1), pf.diffeq.BrownianPath(0.0, 1.0, 3, seed=0), "general"
    ),
    "ODETerm": lambda: pf.diffeq.ODETerm(lambda t, y: -y * t.unsqueeze(1)),
}

# --- paths ---
CASES["paths"] = {
    "Cosine": lambda: pf.paths.Cosine(),
    "DiscreteVP": lambda: pf.paths.DiscreteVP(),
    "DiscreteVP, cosine": lambda: pf.paths.DiscreteVP("cosine", 50),
    "EDM": lambda: pf.paths.EDM(0.01, 60.0),
    "Linear": lambda: pf.paths.Linear(),
    "NoiseLadder": lambda: pf.paths.NoiseLadder(0.02, 20.0, 30),
    "SubVP": lambda: pf.paths.SubVP(),
    "VE": lambda: pf.paths.VE(0.02, 30.0),
    "VP": lambda: pf.paths.VP(),
    "VP slow": lambda: pf.paths.VP(beta_min=0.5, beta_max=4.0),
}


# --- kernels ---
def _seen_first() -> pf.diffusion.inverse.Inpaint:
    return pf.diffusion.inverse.Inpaint(torch.tensor([True, False]))


CASES["kernels"] = {
    "Ancestral": lambda: pf.diffusion.samplers.Ancestral(steps=10, spacing="time"),
    "AnnealedLangevin": lambda: pf.diffusion.samplers.AnnealedLangevin(each=2, levels=5),
    "BlockGibbs": lambda: pf.energy.BlockGibbs(pf.energy.rbm(features=5, hidden=3)),
    "ChurnedHeun": lambda: pf.diffusion.samplers.ChurnedHeun(steps=6, churn=3.0),
    "DDIM": lambda: pf.diffusion.samplers.DDIM(steps=10, eta=0.5),
    "DPMSolver": lambda: pf.diffusion.samplers.DPMSolver(steps=6, order=3),
    "DPS": lambda: pf.diffusion.inverse.DPS(_seen_first(), torch.tensor([[0.5, 0.0]]), steps=10, step_size=0.5),
    "HMC": lambda: pf.inference.HMC(pf.distributions.Gaussian.standard(2), 0.5, steps=4, inverse_mass=[1.0, 2.0]),
    "Langevin": lambda: pf.inference.Langevin(pf.distributions.Gaussian.standard(2), step_size=0.1),
    "LangevinCorrector": lambda: pf.diffusion.samplers.LangevinCorrector(steps=3, t=0.5),
    "MALA": lambda: pf.inference.MALA(pf.distributions.Gaussian.standard(2), 0.3),
    "NUTS": lambda: pf.inference.NUTS(pf.distributions.Gaussian.standard(2), 0.5, max_depth=5),
    "ParallelTempering": lambda: pf.inference.ParallelTempering(
        pf.inference.MALA(pf.distributions.Gaussian.standard(2), 0.3), [1.0, 2.0, 4.0]
    ),
    "PredictorCorrector": lambda: pf.diffusion.samplers.PredictorCorrector(pf.diffusion.samplers.Ancestral(steps=5)),
    "ProbabilityFlow": lambda: pf.diffusion.samplers.ProbabilityFlow(steps=5, solver=pf.diffeq.RK4()),
    "Projection": lambda: pf.diffusion.inverse.Projection(_seen_first(), torch.tensor([[0.5, 0.0]]), steps=10),
    "RePaint": lambda: pf.diffusion.inverse.Projection(_seen_first(), torch.zeros(1, 2), 0.1, steps=5, resamplings=3),
    "ReverseDiffusion": lambda: pf.diffusion.samplers.ReverseDiffusion(steps=6),
    "ReverseEulerMaruyama": lambda: pf.diffusion.samplers.ReverseEulerMaruyama(steps=20),
    "ReverseRungeKutta": lambda: pf.diffusion.samplers.ReverseRungeKutta(steps=5),
    "ScoreLangevin": lambda: pf.diffusion.ScoreLangevin(pf.nn.MLP(2, 2, hidden=[8]), step_size=0.1),
    "SpinGibbs": lambda: pf.energy.SpinGibbs(pf.energy.boltzmann_machine(features=3)),
    "StochasticGradientLangevin": lambda: pf.inference.StochasticGradientLangevin(
        pf.distributions.Gaussian.standard(2),
        lambda x, rows: -(rows - x[:, None]).square().sum(2) / 2,
        torch.zeros(5, 2),
        0.01,
        batch_size=2,
    ),
    "UniPC": lambda: pf.diffusion.samplers.UniPC(steps=6, order=3),
}


# --- processes ---
def _latent_ode(encoder: str) -> pf.dynamics.LatentODE:
    network = _stirred(pf.nn.SeriesEncoder(2, 6, 8, encoder, [8], [8]))
    field, decoder = pf.nn.VectorField(3, [8]), pf.nn.MLP(3, 2, [8], "tanh")
    return pf.dynamics.LatentODE(network, field, decoder, draws=4, solver=pf.diffeq.Tsit5(), rtol=1e-6, atol=1e-7)


def _started(process, start: float):
    """A model of series whose equation begins at this time."""
    process.units.start.fill_(start)
    return process


CASES["processes"] = {
    "AttentiveNeuralProcess": lambda: pf.processes.AttentiveNeuralProcess(2, 3, hidden=16, self_attention=1),
    "CDEForecaster": lambda: pf.dynamics.neural_cde_series(channels=2, hidden=6, width=8, layers=1),
    "ConditionalNeuralProcess": lambda: pf.processes.ConditionalNeuralProcess(2, 3, hidden=32, representation=32),
    "ConvolutionalNeuralProcess": lambda: pf.processes.ConvolutionalNeuralProcess(
        1, 3, 4.0, channels=8, layers=3, kernel=3
    ),
    "ConvolutionalNeuralProcess of fields": lambda: pf.processes.ConvolutionalNeuralProcess(
        2, 1, 2.0, channels=4, kernel=3, levels=1
    ),
    "GaussianProcess": lambda: pf.processes.GaussianProcess("2*rbf(0.7) + matern32(0.5)*periodic", 2, 3, noise=0.1),
    "GaussianProcess, sparse": lambda: pf.processes.GaussianProcess("rbf(0.7)", 2, 3, noise=0.1, inducing=4),
    "LatentODE": lambda: _latent_ode("rnn"),
    "LatentODE, decay": lambda: _latent_ode("decay"),
    "LatentODE, ODE-RNN": lambda: _latent_ode("ode_rnn"),
    "LatentSDE": lambda: _started(
        _stirred(pf.dynamics.LatentSDE(2, latent=3, context_size=6, hidden=[8], steps=5, paths=6), 0.3), -4.0
    ),
    "NeuralODEProcess": lambda: pf.processes.NeuralODEProcess(2, 1, 3, 2, 8, 6, steps=4, draws=4),
    "NeuralODEProcess, second order": lambda: pf.processes.NeuralODEProcess(
        3, 2, 2, 2, 8, 6, layers=1, steps=4, draws=4
    ),
    "NeuralProcess": lambda: pf.processes.NeuralProcess(2, 3, hidden=16, latents=4, draws=6),
    "NeuralProcess, attention": lambda: pf.processes.NeuralProcess(1, 2, 16, 4, "attention", draws=6),
    "NeuralProcess, mean": lambda: pf.processes.NeuralProcess(2, 1, 16, 4, "mean", draws=6, objective="npml"),
    "NeuralSDE": lambda: _started(_stirred(pf.dynamics.NeuralSDE(2, hidden=[8], diffusion="network"), 0.3), -4.0),
    "NeuralSDE, linear": lambda: _started(pf.dynamics.NeuralSDE(3), -4.0),
    "ODEForecaster": lambda: pf.dynamics.neural_ode_series(channels=2, hidden=[8]),
    "TransformerNeuralProcess": lambda: pf.processes.TransformerNeuralProcess(2, 3, width=16, layers=2),
}

# --- networks ---
CASES["networks"] = {
    "ContractiveConv": lambda: pf.nn.ContractiveConv((2, 4, 4), channels=[8], kernels=[3, 1]),
    "ContractiveMLP": lambda: pf.nn.ContractiveMLP(3, hidden=[8], condition=2, activation="elu"),
    "ControlField": lambda: pf.dynamics.ControlField(3, 2, width=8, layers=1),
    "InvertibleResNetClassifier": lambda: pf.flows.invertible_resnet_classifier(
        event_shape=(1, 8, 8), classes=4, levels=17, blocks=1, width=8
    ),
    "NeuralCDE": lambda: pf.dynamics.neural_cde(channels=2, outputs=3, hidden=4, width=8, counts=True),
    "NeuralCDE to regress": lambda: pf.dynamics.neural_cde(
        channels=1, outputs=2, hidden=4, width=8, interpolation="rectilinear", head="regress", solver="Heun"
    ),
    "NeuralODE": lambda: pf.dynamics.neural_ode(features=2, outputs=3, hidden=[8], augment=1),
    "NeuralODE of images": lambda: pf.dynamics.NeuralODE((1, 4, 4), 2, pf.nn.ConvVectorField(2, 4), 1, kinetic=0.1),
    "ODERNN": lambda: pf.nn.ODERNN(3, 4, [8], substeps=2, solver=pf.diffeq.Heun()),
    "SeriesEncoder": lambda: pf.nn.SeriesEncoder(2, 3, 8, "decay"),
    "SeriesGRU": lambda: pf.nn.SeriesGRU(3, 4),
    "VectorField": lambda: pf.nn.VectorField(3, [8], time=True),
    "PlanarField": lambda: pf.bijections.PlanarField(3, width=4),
    "VelocityConvNet": lambda: pf.nn.VelocityConvNet((1, 4, 4), width=4),
    "VelocityMLP": lambda: pf.nn.VelocityMLP(3, [8, 8], condition=2),
    "MaskedColumns": lambda: pf.nn.MaskedColumns([1, 3], [2, 3], [8], condition=1, orders=[[0, 1], [1, 0]]),
    "MaskedMLP": lambda: pf.nn.MaskedMLP(3, 2, hidden=[8, 8], condition=1, order=[1, 0, 2]),
    "CausalTransformer": lambda: pf.nn.CausalTransformer(3, 2, 4, width=8, heads=2),
    "MLP": lambda: pf.nn.MLP(3, 2, hidden=[8, 8], condition=1),
    "Periodic": lambda: pf.nn.Periodic(pf.nn.MLP(6, 2, hidden=[8], condition=1)),
    "ResidualMLP": lambda: pf.nn.ResidualMLP(3, 2, width=8, condition=1),
    "SelfAttention": lambda: pf.nn.SelfAttention(16, heads=2),
    "ContextBlock": lambda: pf.nn.ContextBlock(16, heads=2),
    "CrossAttention": lambda: pf.nn.CrossAttention(16, heads=2),
    "GridNetwork": lambda: pf.nn.GridNetwork(2, 3, 2, channels=4, kernel=3, levels=1),
    "PointUnits": lambda: pf.processes.PointUnits(2, 3),
    "AttentivePath": lambda: pf.processes.AttentivePath(2, 3, 16, heads=2),
    "CouplingConvNet": lambda: pf.nn.CouplingConvNet(2, 3, width=8),
    "CouplingResNet": lambda: pf.nn.CouplingResNet(2, 3, width=8, classes=3),
    "ConvClassifier": lambda: pf.nn.ConvClassifier(3, (10, 7), classes=4, width=8),
    "DiT": lambda: pf.nn.DiT(1, (4, 6), width=16, layers=2, heads=2, patch=2, classes=4),
    "DiT given numbers": lambda: pf.nn.DiT(2, (3, 3), width=8, layers=1, heads=2, patch=1, condition=2, outputs=4),
    "MixtureNetwork": lambda: pf.diffusion.exact.MixtureNetwork(
        pf.diffusion.exact.ring(), pf.paths.Cosine(), "velocity"
    ),
    "DeepSet": lambda: pf.nn.DeepSet(3, 16, hidden=32, layers=2, aggregate="sum"),
    "TimeEmbedding": lambda: pf.nn.TimeEmbedding(16, classes=4),
    "TimeMLP": lambda: pf.nn.TimeMLP(3, hidden=32, layers=2, condition=2),
    "TimeMLP labels": lambda: pf.nn.TimeMLP(3, hidden=32, layers=2, classes=4),
    "UNet": lambda: pf.nn.UNet(1, (8, 8), width=8, classes=4),
    "UNet patches": lambda: pf.nn.UNet(3, (7, 9), width=8, multipliers=(1, 2, 2), blocks=2, patch=2),
    "CausalConv": lambda: pf.nn.CausalConv(3, 4, dilation=2),
    "MaskedConv": lambda: pf.nn.MaskedConv(2, 4, 2, 1, 1, sources=[0, 1], targets=[0, 0, 1, 1], own="hidden"),
    "GatedPixelBlock": lambda: pf.nn.GatedPixelBlock(6, 3, groups=3, condition=2, dropout=0.1),
    "PixelStack": lambda: pf.nn.PixelStack(3, 2, width=6, blocks=1, kernel=3, groups=3, condition=2),
    "WaveStack": lambda: pf.nn.WaveStack(2, 3, width=4, skip=4, dilations=[1, 2], condition=2),
}

# --- guides: denoisers around a model ---
CASES["guides"] = {
    "Autoguidance": lambda: pf.diffusion.guidance.Autoguidance(
        pf.diffusion.ddpm(event_shape=2, width=16), pf.diffusion.ddpm(event_shape=2, width=8), weight=1.5
    ),
    "ClassifierFree": lambda: pf.diffusion.guidance.ClassifierFree(
        pf.diffusion.flow_matching(event_shape=2, classes=3, width=16), weight=3.0
    ),
    "ClassifierGuidance": lambda: pf.diffusion.guidance.ClassifierGuidance(
        model := pf.diffusion.ddpm(event_shape=2, width=16),
        pf.diffusion.guidance.time_classifier(model=model, classes=3, width=16),
        labels=1,
    ),
    "PiGDM": lambda: pf.diffusion.inverse.PiGDM(
        pf.diffusion.ddpm(event_shape=2, width=16), _seen_first(), torch.tensor([[0.5, 0.0]]), noise=0.1
    ),
    "TimeClassifier": lambda: pf.diffusion.guidance.time_classifier(
        model=pf.diffusion.v_diffusion(event_shape=(1, 8, 8), levels=17, width=8), classes=4, width=8
    ),
    "TimeConvClassifier": lambda: pf.diffusion.guidance.TimeConvClassifier(3, (10, 7), classes=4, width=8),
}

# --- outputs of autoregressive models ---
CASES["outputs"] = {
    "Bernoulli": lambda: outputs.Bernoulli(),
    "Categorical": lambda: outputs.Categorical(5),
    "ColourLogisticMixture": lambda: outputs.ColourLogisticMixture(2, levels=4),
    "LogisticMixture": lambda: outputs.LogisticMixture(3, levels=9),
    "NormalMixture": lambda: outputs.NormalMixture(2),
}

# --- operators of inverse problems ---
CASES["operators"] = {
    "Colorise": lambda: pf.diffusion.inverse.Colorise((0.3, 0.6, 0.1)),
    "Inpaint": lambda: _seen_first(),
    "LinearOperator": lambda: pf.diffusion.inverse.LinearOperator(torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])),
    "SuperResolve": lambda: pf.diffusion.inverse.SuperResolve(2),
}
