"""A `PixelStack` one pixel at a time, each layer remembering what it will need again.

The vertical stack of a row reads rows above alone, so it is computed once for the row; of it, each layer keeps the few rows that its
window still reaches. The horizontal stack of a pixel reads a few columns to the left, which are kept for each layer, so a new pixel
costs one column: small products, for all samples at once. The work of an image falls from one whole evaluation for each
pixel to about one in all. Ramachandran et al. 2017, "Fast generation for convolutional autoregressive models",
https://arxiv.org/abs/1704.06001.
"""

import torch
from torch import Tensor
from torch.nn import functional

from .gated_pixel_block import GatedPixelBlock, gate
from .masked_conv import MaskedConv
from .pixel_stack import PixelStack


class PixelWalk:
    """The state of `rows` images of one size whose pixels become known in raster order; no gradients.

    The weights are those of the moment it is made. For each row `begin_row`; in it, for each column, `parameters` (again where a
    channel has become known), and `put` what becomes known. Rows and columns that nobody asks for may be passed over: rows with
    `begin_row` alone, columns only to the end of the row.

    >>> stack, x = PixelStack(1, 2, width=4, blocks=2, kernel=3).eval(), torch.rand(3, 1, 2, 4)
    >>> walk, out = PixelWalk(stack, 3, (2, 4)), torch.empty(3, 2, 2, 4)
    >>> for r in range(2):
    ...     walk.begin_row(r)
    ...     for c in range(4):
    ...         out[:, :, r, c] = walk.parameters(c)
    ...         walk.put(r, c, x[:, :, r, c])
    >>> bool(torch.allclose(out, stack(x), atol=1e-5))
    True
    """

    @torch.no_grad()
    def __init__(self, stack: PixelStack, rows: int, size: tuple[int, int], given: Tensor | None = None):
        self.stack, self.rows, (height, width) = stack, rows, size
        self.blocks: list[GatedPixelBlock] = list(stack.blocks)  # type: ignore[arg-type]
        p, first = stack.width, self.blocks[0]
        self.side, self.back = stack.above.left, first.horizontal.left
        like = stack.left.weight
        # The image as the network sees it, with the frame of zeros that the windows reach into.
        self.image = like.new_zeros(rows, stack.channels + 1, height + self.side, width + 2 * self.side)
        self.image[:, -1, self.side :, self.side : self.side + width] = 1
        self.weights = [block.vertical.masked() for block in self.blocks], stack.above.masked()
        self.front = stack.left.masked()[:, :, 0].permute(2, 1, 0).reshape(-1, p).contiguous(), stack.left.bias
        across = torch.stack([block.horizontal.masked()[:, :, 0] for block in self.blocks])  # (layers, 2p, p, columns)
        self.old = across[..., :-1].permute(0, 3, 2, 1).reshape(len(self.blocks), self.back * p, 2 * p).contiguous()
        self.new = [w.T.contiguous() for w in across[..., -1]]
        self.residuals = [_square(block.residual) for block in self.blocks]
        self.tail = [_square(stack.skips), _square(stack.hidden), _square(stack.out)]
        self.bias = torch.stack([block.horizontal.bias for block in self.blocks])[:, None, :, None, None]
        extra = None if given is None else torch.stack([_given(block, given) for block in self.blocks])
        self.to_v, self.to_h = (None, None) if extra is None else extra[..., None, None].chunk(2, 2)
        reach = self.blocks[0].vertical.rows
        self.passed = like.new_zeros(len(self.blocks), rows, p, reach, width)  # the last rows of v, layer by layer
        self.links = like.new_empty(len(self.blocks), width, rows, 2 * p)
        self.states = like.new_zeros(len(self.blocks), rows, width + self.back, p)

    @torch.no_grad()
    def begin_row(self, r: int) -> None:
        """Take all pixels of the rows above as known, and turn to row r; rows begin in order, from 0."""
        weights, above = self.weights
        v = functional.conv2d(self.image[:, :, r : r + self.side], above, self.stack.above.bias)
        self.passed = self.passed.roll(-1, 3)
        links = []
        for layer, block in enumerate(self.blocks):
            self.passed[layer, :, :, -1:] = v
            half = block.vertical.left
            window = functional.pad(self.passed[layer], (half, half))
            a = functional.conv2d(window, weights[layer], block.vertical.bias)
            links.append(functional.conv2d(a, block.link.weight))
            v = gate(a if self.to_v is None else a + self.to_v[layer])
        linked = torch.stack(links) + (self.bias if self.to_h is None else self.bias + self.to_h)
        self.links.copy_(linked[:, :, :, 0].permute(0, 3, 1, 2))
        self.states.zero_()
        self.row = r

    @torch.no_grad()
    def parameters(self, c: int) -> Tensor:
        """The parameters `(rows, groups * outputs)` of column c, by the channels that are `put` there."""
        seen = self.image[:, :, self.row + self.side, c : c + self.side + 1]
        h = torch.addmm(self.front[1], seen.transpose(1, 2).flatten(1), self.front[0])
        back, layers = self.back, len(self.blocks)
        base = self.links[:, c]
        if back:  # what the columns to the left say, in all layers at once
            base = torch.baddbmm(base, self.states[:, :, c : c + back].reshape(layers, self.rows, -1), self.old)
        gated: list[Tensor] = []
        for layer, (weight, bias) in enumerate(self.residuals):
            self.states[layer, :, c + back] = h
            z = gate(torch.addmm(base[layer], h, self.new[layer]))
            gated.append(z)
            h = h + torch.addmm(bias, z, weight)
        out = torch.cat(gated, 1)
        for i, (weight, bias) in enumerate(self.tail):
            out = torch.addmm(bias, out.relu() if i else out, weight)
        return out

    @torch.no_grad()
    def put(self, r: int, c: int, pixel: Tensor) -> None:
        """Write the pixel `(rows, channels)`, as the network sees numbers, at row r and column c."""
        self.image[:, :-1, r + self.side, c + self.side] = pixel


def _square(conv: MaskedConv) -> tuple[Tensor, Tensor]:
    return conv.masked()[:, :, 0, 0].T.contiguous(), conv.bias


def _given(block: GatedPixelBlock, given: Tensor) -> Tensor:
    assert block.given is not None
    return block.given(given)
