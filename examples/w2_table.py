"""W2 of flows in the plane after 20 Euler steps: independent and optimal pairs, reflow, and bridges; beside what papers report.

`python examples/w2_table.py --minutes 2` trains each cell for that long (one CPU core). Published, Tong et al. 2024
(https://arxiv.org/abs/2302.00482), whose scales of the sets may differ from these, so do not compare digits:
OT-CFM .111 (moons), .102 (S curve), .253 (eight Gaussians), .716 (moons to eight Gaussians).
The floor is what two fresh sets of real points have: no model can be expected below it.
"""

import argparse

import torch

import pushforward as pf

ROWS, STEPS = 2000, 20


def moons(n: int, seed: int) -> torch.Tensor:
    """Two moons as torchcfm scales them: three times, less one."""
    return 3 * pf.data.toy("two_moons", n, seed=seed) - 1


def row(name: str, target, source, minutes: float) -> str:
    """A line of the table; `source` is None for noise."""
    data, fresh = target(20_000, 0), target(ROWS, 1)
    settings = pf.training.Settings(bar=False)
    found = {"floor": pf.metrics.wasserstein(fresh, target(ROWS, 2))}
    euler = pf.diffusion.samplers.DDIM(STEPS, spacing="time")
    if source is None:
        for coupling in ("independent", "optimal"):
            model = pf.diffusion.flow_matching(data, coupling=coupling, width=64)
            pf.fit(model, data, minutes=minutes, settings=settings)
            drawn = model.sample(ROWS, sampler=euler, generator=torch.Generator().manual_seed(3))
            found[coupling] = pf.metrics.wasserstein(drawn, fresh)
            if coupling == "independent":
                student, pairs = pf.diffusion.reflow(model, pairs=20_000, tolerance=1e-3)
                pf.fit(student, pairs, minutes=minutes, settings=settings)
                drawn = student.sample(ROWS, sampler=euler, generator=torch.Generator().manual_seed(3))
                found["reflow"] = pf.metrics.wasserstein(drawn, fresh)
    else:
        begin = source(20_000, 5)
        for label, sigma in (("optimal", 0.0), ("Schroedinger bridge", 0.3)):
            model = pf.diffusion.bridge(data, source=begin, sigma=sigma, width=64)
            pf.fit(model, data, minutes=minutes, settings=settings)
            moved = model.transport(source(ROWS, 6), steps=STEPS, generator=torch.Generator().manual_seed(3))
            found[label] = pf.metrics.wasserstein(moved, fresh)
    return f"{name}: " + ", ".join(f"{label} {value:.3f}" for label, value in found.items())


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="for each cell")
    minutes = parser.parse_args().minutes

    def toy(name: str):
        return lambda n, seed: pf.data.toy(name, n, seed=seed)

    print(row("moons", moons, None, minutes))
    print(row("S curve", toy("s_curve"), None, minutes))
    print(row("eight Gaussians", toy("eight_gaussians"), None, minutes))
    print(row("moons to eight Gaussians", toy("eight_gaussians"), moons, minutes))


if __name__ == "__main__":
    main()
