"""Processes: distributions over functions, given some of their points."""

from .conditional_neural_process import ConditionalNeuralProcess, conditional_neural_process
from .likelihood import context_likelihood, log_likelihood_per_point, random_context
