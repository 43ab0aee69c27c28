"""Energy models: densities known up to a constant Z. Boltzmann machines, and energies that are networks."""

from .bits import Bits
from .boltzmann_machine import BoltzmannMachine, boltzmann_machine
from .contrastive import BoltzmannTraining
from .energy_model import EnergyModel, energy_model
from .energy_training import EnergyTraining
from .gibbs import BlockGibbs, SpinGibbs
from .joint_energy import ClassEnergy, JointEnergy, joint_energy
from .log_partition import LogPartition, LogZEstimate
from .restricted_boltzmann_machine import RestrictedBoltzmannMachine, rbm

__all__ = [
    "Bits",
    "BlockGibbs",
    "BoltzmannMachine",
    "BoltzmannTraining",
    "ClassEnergy",
    "EnergyModel",
    "EnergyTraining",
    "JointEnergy",
    "LogPartition",
    "LogZEstimate",
    "RestrictedBoltzmannMachine",
    "SpinGibbs",
    "boltzmann_machine",
    "energy_model",
    "joint_energy",
    "rbm",
]
