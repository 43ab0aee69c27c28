"""Networks: parts with parameters and no probability of their own."""

from .attention import SelfAttention
from .convnet import ConvClassifier
from .deep_set import DeepSet
from .mlp import MLP
from .norm import group_norm
from .resnet import ResidualMLP
from .time_embedding import TimeEmbedding
from .time_mlp import TimeMLP
from .unet import UNet
