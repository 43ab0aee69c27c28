"""Processes: distributions over functions, given some of their points."""

from .attentive_neural_process import AttentiveNeuralProcess, attentive_neural_process
from .attentive_path import AttentivePath
from .conditional_neural_process import ConditionalNeuralProcess, conditional_neural_process
from .convolutional_neural_process import ConvolutionalNeuralProcess, convolutional_neural_process
from .gaussian_process import GaussianProcess, minus_log_likelihood, oracle_for
from .joint_normal import JointNormal
from .latent_mixture import joint_log_prob, latent_mixture
from .latent_objectives import neural_process_elbo, neural_process_likelihood
from .likelihood import context_likelihood, log_likelihood_per_point, random_context
from .marginal_likelihood import as_functions, fit_marginal_likelihood, gaussian_process
from .neural_ode_process import NeuralODEProcess, neural_ode_process
from .neural_process import NeuralProcess, neural_process
from .transformer_neural_process import TransformerNeuralProcess, transformer_neural_process
from .units import PointUnits
