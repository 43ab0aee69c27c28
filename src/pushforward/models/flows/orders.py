"""In which order the features stand in the layers of an autoregressive flow."""

import torch

from pushforward.core.errors import ConfigError


def turned(features: int, layers: int, seed: int | None = None) -> list[list[int]]:
    """An order for each layer, noise -> data, every other one the reverse of the next; with a seed, pairs at random.

    Without a seed the last one, next to the data, is 0, 1, 2, ...

    Raises `ConfigError` for fewer than 1 layer.

    >>> turned(3, 2)
    [[2, 1, 0], [0, 1, 2]]
    """
    if layers < 1:
        raise ConfigError(f"expected at least 1 layer, got {layers}; with 2 every feature can depend on every other")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    orders: list[list[int]] = []
    while len(orders) < layers:
        first = list(range(features)) if generator is None else torch.randperm(features, generator=generator).tolist()
        orders += [first, first[::-1]]
    return orders[:layers][::-1]
