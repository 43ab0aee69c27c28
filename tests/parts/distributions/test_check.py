"""`Flow.check` finds the faults that were planted, names the layer, and raises no false alarm over any bijection of the house."""

import math

import pytest
import torch
from torch import Size, Tensor

import pushforward as pf
from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError, ConvergenceError, ShapeError
from pushforward.parts.bijections import Affine, AffineTransformer, Chain, Coupling, Inverse, Permutation, Sigmoid
from pushforward.parts.distributions import Dequantised, Flow, Gaussian, Uniform
from pushforward.parts.nn import MLP
from tests.laws.test_bijections import NAMES, make, points


class Broken(Bijection):
    """x = 2 z in two numbers, with one thing wrong."""

    def __init__(self, fault: str = "", size: float = 1e-3):
        super().__init__()
        self.event_shape = self.output_shape = Size((2,))
        self.fault, self.size = fault, size

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        log_det = torch.full((len(z),), math.log(4.0), dtype=z.dtype)
        if self.fault == "refuses":
            raise ConvergenceError("expected rest, got none")
        return 2 * z, -log_det if self.fault in ("sign forward", "sign of both") else log_det

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        log_det = torch.full((len(x),), math.log(4.0), dtype=x.dtype)
        z = x / 2
        if self.fault == "inverse":
            z = z * (1 + self.size)
        if self.fault == "inf":
            z = torch.where(x > 1, math.inf, z)
        if self.fault == "nan log det":
            log_det = log_det * math.nan
        if self.fault == "log det":
            log_det = log_det * (1 + self.size)
        return z, log_det if self.fault in ("sign inverse", "sign of both") else -log_det


def coupling(mask: list[bool], hidden: int = 8) -> Coupling:
    network = MLP(sum(mask), 2 * (len(mask) - sum(mask)), [hidden])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    return Coupling(mask, AffineTransformer(), network)


def flow_around(part: Bijection) -> Flow:
    inner = Chain([Permutation([1, 0]), part])
    return Flow(Gaussian.standard(2), Chain([coupling([True, False]), inner, coupling([False, True])]))


FAULTS = {
    "sign forward": ["sum of the two log dets"],
    "sign inverse": ["sum of the two log dets", "log det against automatic differentiation"],
    "sign of both": ["log det against automatic differentiation"],
    "inverse": ["round trip"],
    "inf": ["not finite"],
    "nan log det": ["not finite"],
    "log det": ["sum of the two log dets", "log det against automatic differentiation"],
    "refuses": ["64 of 64 rows refused: on the way back, expected rest"],
}


class TestPlantedFaults:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    @pytest.mark.parametrize("fault", FAULTS)
    def test_the_report_names_the_layer_and_the_fault(self, fault, dtype):
        flow = flow_around(Broken(fault)).to(dtype)
        report = flow.check(2 * torch.randn(64, 2, dtype=dtype))
        assert not report.ok
        assert not report.whole.ok
        assert [layer.name for layer in report.layers if not layer.ok] == ["1.1 Broken"]
        for words in FAULTS[fault]:
            assert any(f.startswith("1.1 Broken: ") and words in f for f in report.faults), report.faults
        assert "FAULT 1.1 Broken" in str(report)

    def test_nothing_is_found_where_nothing_is_wrong(self):
        report = flow_around(Broken()).check(torch.randn(64, 2))
        assert report.ok
        assert report.faults == ()
        assert [layer.name for layer in report.layers] == ["0 Coupling", "1.0 Permutation", "1.1 Broken", "2 Coupling"]
        assert report.scored == report.finite_scores == 64

    @pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 2e-4), (torch.float64, 1e-12)], ids=str)
    def test_faults_near_rounding_are_found(self, dtype, size):
        for fault in ("inverse", "log det"):
            flow = Flow(Gaussian.standard(2), Broken(fault, size)).to(dtype)
            assert not flow.check(torch.randn(200, 2, dtype=dtype)).ok

    def test_a_layer_that_is_turned_round_and_chains_that_are(self):
        bijection = Inverse(Chain([coupling([True, False]), Inverse(Broken("sign of both"))]))
        report = Flow(Gaussian.standard(2), bijection).check(torch.randn(10, 2))
        assert [layer.name for layer in report.layers] == ["1 Broken", "0 Inverse(Coupling)"]
        assert [layer.ok for layer in report.layers] == [False, True]

    def test_a_layer_that_no_row_reaches(self):
        chain = Chain([Broken("refuses"), Affine(torch.zeros(2), torch.ones(2)), Broken("inf")])
        report = Flow(Gaussian.standard(2), chain).check(torch.full((4, 2), 3.0))
        assert [layer.rows for layer in report.layers] == [0, 0, 0]
        assert not report.ok

    def test_only_rows_that_are_hit_are_counted(self):
        x = torch.tensor([[0.0, 0.0], [5.0, 0.0], [5.0, 5.0]])
        layer = Flow(Gaussian.standard(2), Broken("inf")).check(x).layers[0]
        assert layer.rows == 1
        assert layer.not_finite >= 3
        assert "in 2 of 3 rows" in layer.faults[0]

    def test_dropout_is_off_while_it_looks_and_on_again_afterwards(self):
        flow = pf.flows.realnvp(features=3, layers=2, hidden=[8], dropout=0.5).train()
        assert flow.check(torch.randn(20, 3)).ok
        assert all(module.training for module in flow.modules())


class TestNoFalseAlarm:
    @pytest.mark.parametrize(("dtype", "every"), [(torch.float32, 1), (torch.float64, 4)], ids=str)
    def test_over_every_bijection(self, dtype, every):
        alarms = []
        for name in NAMES[::every]:
            part, (x, condition) = make(name, dtype), points(name, "inverse", (6,))
            flow = Flow(Gaussian.standard(part.event_shape).to(dtype), part)
            report = flow.check(x.to(dtype), None if condition is None else condition.to(dtype))
            alarms += [f"{name}: {fault}" for fault in report.faults]
        assert not alarms

    def test_over_rows_of_very_different_size(self):
        flow = Flow(Gaussian.standard(2), Affine(torch.tensor([1e6, 0.0]), torch.tensor([1e-2, 1e4])))
        assert flow.check(torch.tensor([[1e6, 1e-3], [1e6 + 1, 1e9], [-3e7, 0.0]])).ok


class TestData:
    def test_rows_that_are_no_numbers_are_counted_and_left_out(self):
        flow = pf.flows.realnvp(features=2, condition=1, layers=2, hidden=[8])
        x, condition = torch.randn(6, 2), torch.zeros(6, 1)
        x[0, 1], x[2, 0], condition[5] = math.nan, -math.inf, math.nan
        report = flow.check(x, condition)
        assert (report.rows, report.not_finite, report.whole.rows, report.ok) == (6, 3, 3, True)

    def test_huge_rows_are_reported_where_they_overflow(self):
        flow = Flow(Gaussian.standard(2), Chain([Permutation([1, 0]), Affine(torch.zeros(2), torch.full((2,), 1e-10))]))
        report = flow.check(torch.tensor([[1e-9, 0.0], [1e35, 0.0]]))
        assert [layer.ok for layer in report.layers] == [True, False]
        assert "in 1 of 2 rows" in report.layers[1].faults[0]

    def test_rows_outside_the_support_are_counted_by_layer(self):
        flow = Flow(Gaussian.standard(1), Chain([Affine(torch.zeros(1), torch.ones(1)), Sigmoid(1)]))
        report = flow.check(torch.tensor([[0.2], [1.5], [0.9], [-3.0], [0.5], [1.0]]))
        assert (report.whole.outside, report.layers[1].outside, report.layers[0].outside) == (3, 3, 0)
        assert report.ok
        assert report.layers[0].rows == report.scored == 3
        assert "3 outside the support" in str(report)

    def test_no_row_left_is_not_ok(self):
        flow = Flow(Gaussian.standard(1), Sigmoid(1))
        for x in (torch.tensor([[2.0]]), torch.full((3, 1), math.nan), torch.empty(0, 1)):
            report = flow.check(x)
            assert not report.ok
            assert "nothing was checked" in str(report)

    def test_scores_of_minus_infinity_are_counted_and_no_fault(self):
        flow = Flow(Uniform(torch.zeros(1), torch.ones(1)), Affine(torch.zeros(1), torch.ones(1)))
        report = flow.check(torch.tensor([[0.5], [2.0]]))
        assert (report.scored, report.finite_scores, report.impossible_scores, report.ok) == (2, 1, 0, True)

    def test_batches_whole_numbers_and_classes(self):
        model = pf.flows.glow(event_shape=(1, 4, 4), classes=3, levels=4, steps=1, width=4)
        report = model.check(torch.randint(4, (2, 3, 1, 4, 4)), torch.tensor([0, 1, 2]))
        assert report.ok
        assert report.rows == 6

    def test_what_does_not_fit_is_refused(self):
        flow = pf.flows.realnvp(features=2, layers=2, hidden=[8])
        with pytest.raises(ShapeError, match="expected x of shape"):
            flow.check(torch.randn(5, 3))
        with pytest.raises(ShapeError, match="expected x of dtype"):
            flow.check(torch.randn(5, 2).double())


class TestKinds:
    def test_large_events_and_estimates_are_skipped_with_a_word(self):
        large = Flow(Gaussian.standard(501), Affine(torch.zeros(501), torch.ones(501)))
        layer = large.check(torch.randn(2, 501)).layers[0]
        assert layer.ok
        assert layer.log_det_error is None
        assert layer.log_det_note == "too large"
        rough = Affine(torch.zeros(2), torch.ones(2))
        rough.log_det_kind = "estimate"
        layer = Flow(Gaussian.standard(2), rough).check(torch.randn(2, 2)).layers[0]
        assert layer.ok
        assert layer.log_det_sum is None
        assert layer.log_det_note == "estimate"

    @pytest.mark.parametrize("settings", [{"memory": "reversible"}, {"condition": 1}], ids=str)
    def test_flows_of_tables(self, settings):
        flow = pf.flows.realnvp(features=3, layers=3, hidden=[8], **settings)
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        assert flow.check(torch.randn(600, 3), torch.randn(600, 1) if "condition" in settings else None).ok

    def test_events_that_are_numbers(self):
        report = Flow(Gaussian.standard(()), Affine(torch.tensor(1.0), torch.tensor(-2.0))).check(torch.randn(5))
        assert report.ok
        assert report.layers[0].rows == 5

    def test_an_iterative_layer_tells_its_residual(self):
        layer = Flow(Gaussian.standard(3), make("Planar", torch.float32)).check(torch.randn(9, 3)).layers[0]
        assert layer.residual is not None
        assert 0 <= layer.residual < 1e-4

    def test_a_dequantised_flow_is_checked_inside_its_cells(self):
        inner = Flow(Gaussian.standard(2), Chain([coupling([True, False]), Sigmoid(2, high=4.0)]))
        model, x = Dequantised(inner, torch.ones(2)), torch.tensor([[0, 3], [1, 1], [4, 0]])
        report = model.check(x)  # 0 and 3 themselves are the ends of the interval, and 4 lies beyond
        assert (report.whole.outside, report.whole.rows, report.ok) == (1, 2, True)
        with pytest.raises(ConfigError, match="expected a dequantised Flow"):
            Dequantised(Gaussian.standard(2), torch.ones(2)).check(x)
