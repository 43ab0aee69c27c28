"""Models whose hidden state moves in continuous time: neural ODE, CDE and SDE, latent ODE and SDE."""

__all__: list[str] = []
