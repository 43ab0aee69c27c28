"""Transformer flow: causal transformers over tokens. Zhai et al. 2024 (TarFlow), https://arxiv.org/abs/2412.06329."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pushforward.core.bijection import Bijection
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import Affine, AffineTransformer, Chain, Flip, Patches, Reshape, TokenAutoregressive
from pushforward.parts.data import Images, Table
from pushforward.parts.nn import CausalTransformer

from .columns import Columns, seeded
from .pixels import Pixels


def transformer_flow(
    data: Table | Images | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    event_shape: Sequence[int] | None = None,
    classes: int | None = None,
    levels: int | None = None,
    patch: int | None = None,
    layers: int = 4,
    width: int = 64,
    heads: int = 4,
    blocks: int = 2,
    seed: int = 0,
) -> Distribution:
    """`layers` maps z_t = (x_t - mu_t) exp(-s_t), mu_t and s_t from a causal transformer of the tokens before t.

    Tokens are the `patch` x `patch` pixels of images, or the columns of a table, one each; every layer goes through them
    the other way round. A transformer has `blocks` blocks of `heads` heads and `width` numbers; the paper has 8 layers of
    4 to 8 blocks, 384 to 1024 wide. s is bounded, 3 tanh(s / 3). `patch` is 2 unless given, or 1 where sides are odd.

    Tables: `features` and `condition` are as for `realnvp`. Images: `event_shape`, `classes` and `levels` are as for `glow`.
    It begins as the standardised Gaussian, for images with half of the levels as its standard deviation. `log_prob` is
    one pass of all tokens; drawing goes token by token, each for one place of the transformers. The same `seed` gives the same
    first weights.

    Raises `ConfigError` for settings of tables and images together, fewer than 1 layer, heads that do not divide the width, or
    sides that the patch does not divide; `DataError` for a column that never changes.

    >>> import torch
    >>> flow = transformer_flow(features=3, condition=2, layers=2, width=16)
    >>> flow.sample(4, torch.zeros(5, 2)).shape
    torch.Size([4, 5, 3])
    >>> flow = transformer_flow(event_shape=(1, 8, 8), levels=17, classes=10, layers=2, width=16)
    >>> flow.sample((), torch.arange(3)).shape
    torch.Size([3, 1, 8, 8])
    """
    if layers < 1:
        raise ConfigError(f"expected at least 1 layer, got {layers}; 2 see the tokens in both orders")
    if not isinstance(data, Images) and event_shape is None:
        if not (classes is levels is patch is None):
            raise ConfigError(
                "expected no classes, levels and patch for a table, whose tokens are its columns; they are for images"
            )
        columns = Columns.of(data, features, condition)
        with seeded(seed):
            stack = _stack(columns.features, 1, layers, width, heads, blocks, columns.condition, None)
        flat, tokens = (columns.features,), (columns.features, 1)
        return columns.model([Reshape(flat, tokens), *stack, Reshape(tokens, flat)])
    if not (features is condition is None):
        raise ConfigError(f"expected no features and condition for images, got {features} and {condition}; "
                          "labels of the images, or classes=, make it conditional")  # fmt: skip
    if data is not None and not isinstance(data, Images):
        raise ConfigError("expected data or event_shape=, one of the two, got both")
    pixels = Pixels.of(data, event_shape, levels, classes)
    if patch is None:
        patch = 1 if any(side % 2 for side in pixels.shape[1:]) else 2
    patches = Patches(pixels.shape, patch)
    with seeded(seed):
        stack = _stack(patches.event_shape[0], patches.event_shape[1], layers, width, heads, blocks, 0, pixels.classes)
    shape = pixels.shape
    wide = Affine(
        torch.zeros(shape), torch.full(shape, 0.5)
    )  # networks see numbers in -1 .. 1, where Pixels has half of that
    return pixels.model(Chain([*stack, patches, wide]))


def _stack(tokens: int, numbers: int, layers: int, width: int, heads: int, blocks: int, condition: int,
           classes: int | None) -> list[Bijection]:  # fmt: skip
    """Layers with a flip between them, noise -> data."""
    stack: list[Bijection] = []
    for _ in range(layers):
        transformer = AffineTransformer()
        network = CausalTransformer(
            tokens, numbers, transformer.size * numbers, width, heads, blocks, condition, classes
        )
        stack += [TokenAutoregressive(transformer, network), Flip((tokens, numbers))]
    return stack[:-1]
