"""Runge-Kutta steps of dz = f(z) dX with a perceptron f, and their gradient, written out by hand.

A step asks for k_i = h f(z + sum_j a_ij k_j) X'(t + c_i h). A path of a few hundred points needs a thousand evaluations of
a small network, where keeping a graph costs more than the arithmetic. So the forward pass writes what the chain rule needs
into one block of memory for each layer, and the backward pass takes two operations for each layer of each evaluation; the
gradients of the weights are one product for all evaluations together.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pushforward.parts.diffeq.solvers.runge_kutta import Tableau

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_relu_backward = torch.ops.aten.threshold_backward.grad_input


def controlled_path(z0: Tensor, moves: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], tableau: Tableau,
                    bounded: bool) -> Tensor:  # fmt: skip
    """The states after 0, 1, ... steps, `(steps + 1, n, hidden)`, from z0 `(n, hidden)`.

    `moves` `(nodes, steps, n, channels)` is h dX/dt at the distinct nodes of the tableau. f is a perceptron with ReLU between its
    layers and `channels` times `hidden` outputs, channel by channel; `bounded` puts a tanh behind the last. Gradients flow to z0,
    moves, weights and biases, once.
    """
    return _Steps.apply(tableau, bounded, z0, moves, *weights, *biases)  # type: ignore[no-any-return]


class _Record:
    """Memory for what every evaluation makes: the input of each layer, and the output of the last."""

    def __init__(self, evaluations: int, z: Tensor, weights: Sequence[Tensor]):
        widths = [weights[0].shape[1], *(w.shape[0] for w in weights)]
        self.blocks = [z.new_empty(evaluations, len(z), width) for width in widths]

    def rows(self) -> list[tuple[Tensor, ...]]:
        """The blocks, evaluation by evaluation."""
        return [block.unbind(0) for block in self.blocks]

    def shaped(self, hidden: int) -> tuple[Tensor, ...]:
        """The output of each evaluation as `(n, channels, hidden)`."""
        return self.blocks[-1].unflatten(2, (-1, hidden)).unbind(0)


class _Combination:
    """base + sum_j row[j] parts[j] for parts that lie in one buffer `(stages, n, hidden)`, in as few operations as can be."""

    def __init__(self, row: Sequence[float], buffer: Tensor):
        used = [(number, buffer[j]) for j, number in enumerate(row) if number]
        self.none, self.single = not used, used[0] if len(used) == 1 else None
        self.matrix = buffer[: len(row)].flatten(1).t()
        self.row = buffer.new_tensor(row)

    def into(self, out: Tensor, base: Tensor) -> Tensor:
        """Write it to `out`."""
        if self.none:
            return out.copy_(base)
        if self.single is not None:
            return torch.add(base, self.single[1], alpha=self.single[0], out=out)
        torch.addmv(base.view(-1), self.matrix, self.row, out=out.view(-1))
        return out


def _columns(moves: Tensor) -> list[tuple[Tensor, ...]]:
    """Views `(n, channels, 1)` for every node and step."""
    return [part.unsqueeze(3).unbind(0) for part in moves.unbind(0)]


class _Steps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tableau: Tableau, bounded: bool, z0: Tensor, moves: Tensor, *layers: Tensor) -> Tensor:
        depth, (n, hidden) = len(layers) // 2, z0.shape
        weights, biases = layers[:depth], layers[depth:]
        stages, steps = len(tableau.b), moves.shape[1]
        keep = any(ctx.needs_input_grad)
        record = _Record(stages * steps if keep else 1, z0, weights)
        # tanh(a) = 2 sigmoid(2 a) - 1, and PyTorch's sigmoid takes a quarter of the time of its tanh.
        factor = 2 if bounded else 1
        inner, last = [w.t().contiguous() for w in weights[:-1]], (factor * weights[-1]).t().contiguous()
        biases = (*biases[:-1], factor * biases[-1])
        node = [tableau.distinct.index(c) for c in tableau.c]
        pulls, minus = _columns(factor * moves), _columns(-moves)
        rows, shaped, outputs = record.rows(), record.shaped(hidden), record.blocks[-1].unbind(0)
        path, slopes = z0.new_empty(steps + 1, n, hidden), z0.new_empty(stages, n, hidden)
        path[0] = z0
        states, stacked, product = path.unbind(0), slopes.unbind(0), torch.empty_like(shaped[0])
        inputs, end = [_Combination(row, slopes) for row in tableau.a], _Combination(tableau.b, slopes)
        if keep:  # biases once for all evaluations, as what the products are added to
            for block, bias in zip(record.blocks[1:], biases):
                block.copy_(bias)
        e = 0
        for step in range(steps):
            z = states[step]
            for stage in range(stages):
                if not keep:
                    for block, bias in zip(record.blocks[1:], biases):
                        block.copy_(bias)
                h = inputs[stage].into(rows[0][e], z)
                for layer, weight in enumerate(inner, 1):
                    h = rows[layer][e].addmm_(h, weight).relu_()
                h = outputs[e].addmm_(h, last)
                pull = pulls[node[stage]][step]
                if bounded:
                    h.sigmoid_()
                    torch.addcmul(minus[node[stage]][step], shaped[e], pull, out=product)
                else:
                    torch.mul(shaped[e], pull, out=product)
                torch.sum(product, 1, out=stacked[stage])
                e += keep
            end.into(states[step + 1], z)
        if keep:
            ctx.save_for_backward(moves, *weights)
            ctx.record, ctx.tableau, ctx.bounded, ctx.node = record, tableau, bounded, node
        return path

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        moves, *weights = ctx.saved_tensors
        record, tableau, bounded, node = ctx.record, ctx.tableau, ctx.bounded, ctx.node
        depth, stages, (steps, n, hidden) = len(weights), len(tableau.b), (len(grad) - 1, *grad.shape[1:])
        rows, shaped = record.rows(), record.shaped(hidden)
        pulls = _columns(
            4 * moves if bounded else moves
        )  # the derivative of tanh is 4 s (1 - s) in terms of the sigmoid s
        to_moves = torch.zeros_like(moves) if ctx.needs_input_grad[3] else None
        # delta: the gradient of the loss by what goes into the activation behind each layer.
        deltas = [torch.empty_like(block) for block in record.blocks[1:]]
        delta_rows, by_channel = [block.unbind(0) for block in deltas], deltas[-1].unflatten(2, (-1, hidden)).unbind(0)
        slopes, seen = grad.new_empty(stages, n, hidden), grad.new_empty(stages, n, hidden)
        dk, at_stage, b = slopes.unbind(0), seen.unbind(0), grad.new_tensor(tableau.b)[:, None, None]
        across = slopes.unsqueeze(2).unbind(0)  # (n, 1, hidden) each
        later = [[(row[j], at_stage[i]) for i, row in enumerate(tableau.a) if j < len(row) and row[j]]
                 for j in range(stages)]  # fmt: skip
        a, total, grads = grad[steps].clone(), torch.empty_like(grad[0]), grad.unbind(0)
        for step in range(steps - 1, -1, -1):
            torch.mul(b, a, out=slopes)
            for stage in range(stages - 1, -1, -1):
                e = step * stages + stage
                for number, part in later[stage]:
                    dk[stage].add_(part, alpha=number)
                if to_moves is not None:
                    values = 2 * shaped[e] - 1 if bounded else shaped[e]
                    to_moves[node[stage], step] += (values @ dk[stage].unsqueeze(-1)).squeeze(-1)
                torch.mul(pulls[node[stage]][step], across[stage], out=by_channel[e])
                delta = delta_rows[-1][e]
                if bounded:
                    _sigmoid_backward(delta, rows[depth][e], grad_input=delta)
                for layer in range(depth - 1, 0, -1):
                    delta = torch.mm(delta, weights[layer], out=delta_rows[layer - 1][e])
                    _relu_backward(delta, rows[layer][e], 0.0, grad_input=delta)
                torch.mm(delta, weights[0], out=at_stage[stage])
            a.add_(torch.sum(seen, 0, out=total)).add_(grads[step])
        flat = [delta.flatten(0, 1) for delta in deltas]
        to_weights = [delta.t() @ x.flatten(0, 1) for delta, x in zip(flat, record.blocks)]
        return None, None, a, to_moves, *to_weights, *(delta.sum(0) for delta in flat)
