"""Networks: parts with parameters and no probability of their own."""

from .attention import SelfAttention
from .causal_transformer import CausalTransformer
from .contractive import ContractiveConv, ContractiveMLP
from .convnet import ConvClassifier
from .coupling_convnet import CouplingConvNet
from .coupling_resnet import CouplingResNet
from .deep_set import DeepSet
from .masked_mlp import MaskedMLP
from .mlp import MLP
from .norm import group_norm
from .periodic import Periodic
from .resnet import ResidualMLP
from .spectral_norm import SpectralConv2d, SpectralLinear
from .time_embedding import TimeEmbedding
from .time_mlp import TimeMLP
from .unet import UNet
