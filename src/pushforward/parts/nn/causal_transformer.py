"""A causal transformer: what it says about a token depends on the tokens before it, and on nothing else.

h_t = e(x_{t-1}) + p_t, with a learned start in place of e(x_{-1}); blocks h + A(norm h), h + M(norm h), where A attends to
places up to t and M is an MLP with GELU; W norm(h_t) is said of token t. Queries look at the keys and values of earlier
places only, which never change: kept in a cache, they make the next token for the price of one place instead of t (Vaswani
et al. 2017, https://arxiv.org/abs/1706.03762; normalised before each branch, Xiong et al. 2020, https://arxiv.org/abs/2002.04745).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.registry import register

from .class_bias import ClassBias

_FEW = 64  # tokens


@dataclass(frozen=True)
class KeyValueCache:
    """What a walk along the tokens remembers: keys and values of each block, `(n, heads, tokens, width / heads)`.

    `bias` `(n, width)`, of the condition, is added at all places.
    """

    keys: list[Tensor]
    values: list[Tensor]
    bias: Tensor | None


class _Block(nn.Module):
    """Attention to the places so far, then an MLP on each place; both beside a shortcut."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, h: Tensor, mask: Tensor | None) -> Tensor:
        """All places `(n, tokens, width)` at once; `mask` `(tokens, tokens)` is -inf where a place is still to come."""
        query, key, value = self._split(h)
        if mask is None:
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            mixed = torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + mask, -1) @ value
        return self._finish(h, mixed)

    def step(self, h: Tensor, place: int, keys: Tensor, values: Tensor) -> Tensor:
        """One place `(n, 1, width)`, given those before it, whose keys and values it joins."""
        query, key, value = self._split(h)
        keys[:, :, place], values[:, :, place] = key[:, :, 0], value[:, :, 0]
        known = query @ keys[:, :, : place + 1].transpose(-1, -2) * query.shape[-1] ** -0.5
        return self._finish(h, torch.softmax(known, -1) @ values[:, :, : place + 1])

    def _split(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n, places, width = h.shape
        split = self.query_key_value(self.attention_norm(h)).view(n, places, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)  # each (n, heads, places, width / heads)
        return query, key, value

    def _finish(self, h: Tensor, mixed: Tensor) -> Tensor:
        h = h + self.out(mixed.transpose(1, 2).reshape(h.shape))
        return h + self.down(functional.gelu(self.up(self.mlp_norm(h))))


@register
class CausalTransformer(nn.Module):
    """`outputs` numbers for each of `tokens` places, from the tokens before it: `(n, tokens, inputs)` to `(n, tokens, outputs)`.

    Of the first token it knows nothing but the condition: a vector `(n, condition)`, or with `classes` the number of a class
    `(n,)`, either of which becomes a vector that is added at all places. Outputs begin at zero. Up to 64 tokens attention is
    written out, and can be differentiated forwards and twice; beyond, it runs in PyTorch's fused kernels, which never store
    the tokens x tokens matrix.

    Raises `ConfigError` for sizes below 1, heads that do not divide the width, or a condition beside classes; `ShapeError` for
    tokens or a condition that do not fit.

    >>> network = CausalTransformer(3, inputs=2, outputs=4, width=16, heads=2)
    >>> network(torch.randn(5, 3, 2)).shape
    torch.Size([5, 3, 4])
    """

    def __init__(self, tokens: int, inputs: int, outputs: int, width: int = 64, heads: int = 4, blocks: int = 2,
                 condition: int = 0, classes: int | None = None):  # fmt: skip
        super().__init__()
        if min(tokens, inputs, outputs, width, blocks) < 1 or condition < 0 or (classes is not None and classes < 1):
            raise ConfigError("expected tokens, inputs, outputs, width, blocks and classes of at least 1, condition of at least 0, got "
                              f"{tokens}, {inputs}, {outputs}, {width}, {blocks}, {classes} and {condition}; raise what is too small")  # fmt: skip
        if heads < 1 or width % heads:
            raise ConfigError(f"expected a number of heads that divides the width {width}, got {heads}; choose another")
        if condition and classes is not None:
            raise ConfigError(f"expected a condition or classes, got a condition of width {condition} and {classes} classes; "
                              "write the class into the condition as 0 and 1")  # fmt: skip
        self.tokens, self.inputs, self.outputs, self.heads = tokens, inputs, outputs, heads
        self.condition, self.classes, self.width = condition, classes, width
        self.enter = nn.Linear(inputs, width)
        self.start = nn.Parameter(0.02 * torch.randn(width))
        self.places = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.bias = (
            ClassBias(classes, width) if classes is not None else nn.Linear(condition, width) if condition else None
        )
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Float[Tensor, "n tokens inputs"],
                condition: Float[Tensor, "n *given"] | None = None) -> Float[Tensor, "n tokens outputs"]:  # fmt: skip
        """What is said of every token, all at once."""
        if x.shape[1:] != (self.tokens, self.inputs):
            raise ShapeError(
                f"expected x of shape (n, {self.tokens}, {self.inputs}), got {tuple(x.shape)}; build the network for these tokens"
            )
        bias = self._bias_of(condition, len(x))
        h = torch.cat([self.start.expand(len(x), 1, -1), self._embedded(x[:, :-1])], 1) + self.places
        h = h if bias is None else h + bias[:, None]
        mask = None
        if self.tokens <= _FEW:
            mask = torch.full((self.tokens, self.tokens), -torch.inf, dtype=x.dtype, device=x.device).triu(1)
        for block in self.blocks:
            h = block(h, mask)
        return self.head(self.norm(h))

    def cache(self, rows: int, condition: Float[Tensor, "n *given"] | None = None) -> KeyValueCache:
        """Room for a walk along the tokens of `rows` rows with these conditions."""
        shape = rows, self.heads, self.tokens, self.width // self.heads
        keys, values = ([self.places.new_empty(shape) for _ in self.blocks] for _ in range(2))
        return KeyValueCache(keys, values, self._bias_of(condition, rows))

    def step(
        self, token: Float[Tensor, "n inputs"] | None, place: int, cache: KeyValueCache
    ) -> Float[Tensor, "n outputs"]:
        """What is said of the token at `place`, given the `token` before it (None at place 0), without gradients.

        Places come in order: 0, 1, 2, ...; `cache`, which holds what the earlier ones left, is written to.
        """
        with torch.no_grad():
            rows = len(cache.keys[0])
            h = (self.start.expand(rows, -1) if token is None else self._embedded(token)) + self.places[place]
            h = (h if cache.bias is None else h + cache.bias)[:, None]
            for block, keys, values in zip(self.blocks, cache.keys, cache.values):
                assert isinstance(block, _Block)
                h = block.step(h, place, keys, values)
            return self.head(self.norm(h[:, 0]))

    def _embedded(self, token: Tensor) -> Tensor:
        # Normalising squares numbers: beyond the fourth root of the largest float they all look alike, instead of NaN.
        most = torch.finfo(token.dtype).max ** 0.25
        return self.enter(token.clamp(-most, most))

    def _bias_of(self, condition: Tensor | None, rows: int) -> Tensor | None:
        if self.bias is None:
            if condition is not None:
                raise ShapeError(f"expected no condition, since this network was built without one, got one of shape {tuple(condition.shape)}; "
                                 "build it with condition= or classes=")  # fmt: skip
            return None
        wanted = (rows,) if self.classes is not None else (rows, self.condition)
        if condition is None or condition.shape != wanted:
            got = "none" if condition is None else f"one of shape {tuple(condition.shape)}"
            raise ShapeError(f"expected a condition of shape {wanted}, got {got}; pass one row for every row of x")
        return self.bias(condition)
