"""Networks: parts with parameters and no probability of their own."""

from .attention import SelfAttention
from .causal_conv import CausalConv
from .causal_transformer import CausalTransformer
from .context_block import ContextBlock
from .contractive import ContractiveConv, ContractiveMLP
from .convnet import ConvClassifier
from .coupling_convnet import CouplingConvNet
from .coupling_resnet import CouplingResNet
from .cross_attention import CrossAttention
from .deep_set import DeepSet
from .dit import DiT
from .gated_pixel_block import GatedPixelBlock
from .grid_network import GridNetwork
from .gru import SeriesGRU, last_real
from .masked_columns import MaskedColumns
from .masked_conv import MaskedConv
from .masked_mlp import MaskedMLP
from .mlp import MLP
from .norm import group_norm
from .ode_rnn import ODERNN
from .periodic import Periodic
from .pixel_stack import PixelStack
from .pixel_walk import PixelWalk
from .resnet import ResidualMLP
from .series_encoder import SeriesEncoder
from .spectral_norm import SpectralConv2d, SpectralLinear
from .time_embedding import TimeEmbedding
from .time_mlp import TimeMLP
from .unet import UNet
from .vector_field import ConvVectorField, VectorField
from .velocity_convnet import VelocityConvNet
from .velocity_mlp import VelocityMLP
from .wave_queue import WaveQueue
from .wave_stack import WaveStack
