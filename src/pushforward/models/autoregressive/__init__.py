"""Autoregressive models, assembled: log p(x) = sum_i log p(x_i | what comes before i)."""

from .amplitude_levels import AmplitudeLevels, compand
from .made import MADE
from .made_of_data import made
from .pixel_cnn import PixelCNN
from .pixel_cnn_of_data import pixel_cnn
from .wave_net import WaveNet
from .wave_net_of_data import wavenet

__all__ = ["MADE", "AmplitudeLevels", "PixelCNN", "WaveNet", "compand", "made", "pixel_cnn", "wavenet"]
