"""What a check of a flow found, as numbers and as a table to read."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerCheck:
    """One layer at the rows that reach it. Numbers are the largest over the rows, and None where nothing was compared.

    `round_trip` is |T(T^-1(x)) - x| in units of the layer's x, `relative` the same over 1 + |x|. `log_det_error` is against
    the Jacobian of automatic differentiation, on the first rows (`log_det_note` says why not), `log_det_sum` the sum of
    the two directions' log dets; both in nats. `rows` came through; `outside` were refused as no data of this layer.
    `residual` is that of an iterative direction.
    """

    name: str
    rows: int
    round_trip: float | None
    relative: float | None
    log_det_error: float | None
    log_det_note: str
    log_det_sum: float | None
    not_finite: int
    outside: int
    residual: float | None
    faults: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Nothing that rounding does not explain."""
        return not self.faults

    def cells(self) -> list[str]:
        """The line of the table."""
        log_det = self.log_det_note or _number(self.log_det_error)
        return [self.name, str(self.rows), _number(self.round_trip), _number(self.relative), log_det, _number(self.log_det_sum),
                str(self.not_finite), str(self.outside), _number(self.residual), "ok" if self.ok else "FAULT"]  # fmt: skip


HEAD = ["layer", "rows", "round trip", "relative", "log det", "sum", "not finite", "outside", "residual", ""]


@dataclass(frozen=True)
class CheckReport:
    """What `check` found: a line for each layer, noise -> data, and one for the whole flow in the units of its data.

    Of `rows`, `not_finite` were left out at once. `scored` rows have a log_prob, `finite_scores` of them a finite one (minus
    infinity is the score of a row outside the base), and `impossible_scores` are NaN or plus infinity.

    `print(report)` shows the table: the largest error of the round trip, absolute and relative; of the log det against
    automatic differentiation; of the sum of the two directions' log dets.
    """

    rows: int
    not_finite: int
    dtype: str
    layers: tuple[LayerCheck, ...]
    whole: LayerCheck
    scored: int
    finite_scores: int
    impossible_scores: int

    @property
    def faults(self) -> tuple[str, ...]:
        """Sentences that name the layer; none for a flow that is what it says."""
        found = [f"{line.name}: {fault}" for line in (*self.layers, self.whole) for fault in line.faults]
        if self.impossible_scores:
            found.append(f"log_prob: NaN or plus infinity for {self.impossible_scores} of {self.scored} rows")
        if not self.whole.rows:
            found.append(f"nothing was checked: none of {self.rows} rows came through")
        return tuple(found)

    @property
    def ok(self) -> bool:
        """Whether the flow is right at the rows that it takes, up to what rounding explains in this dtype."""
        return not self.faults

    def __str__(self) -> str:
        lines = [HEAD, *(line.cells() for line in self.layers), self.whole.cells()]
        widths = [max(map(len, column)) for column in zip(*lines)]
        table = [
            "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:]))]).rstrip()
            for line in lines
        ]
        rule = "-" * max(map(len, table))
        left_out = f"{self.not_finite} not finite, {self.whole.outside} outside the support"
        about = f"{self.whole.rows} of {self.rows} rows came through ({left_out}), {self.dtype}"
        scores = f"log_prob: finite for {self.finite_scores} of {self.scored} rows"
        verdict = ["ok"] if self.ok else [f"FAULT {fault}" for fault in self.faults]
        return "\n".join([about, table[0], rule, *table[1:-1], rule, table[-1], scores, *verdict])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}" if value else "0"
