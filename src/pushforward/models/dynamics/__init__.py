"""Models whose hidden state moves in continuous time: neural ODE, CDE and SDE, latent ODE and SDE."""

from .cde_forecaster import CDEForecaster, neural_cde_series
from .control_field import ControlField
from .latent_ode import LatentODE, latent_ode
from .latent_sde import LatentSDE, latent_sde
from .neural_cde import NeuralCDE, neural_cde
from .neural_ode import NeuralODE, neural_ode
from .neural_sde import NeuralSDE, neural_sde
from .ode_forecaster import ODEForecaster, neural_ode_series

__all__ = [
    "CDEForecaster",
    "ControlField",
    "LatentODE",
    "LatentSDE",
    "NeuralCDE",
    "NeuralODE",
    "NeuralSDE",
    "ODEForecaster",
    "latent_ode",
    "latent_sde",
    "neural_cde",
    "neural_cde_series",
    "neural_ode",
    "neural_ode_series",
    "neural_sde",
]
