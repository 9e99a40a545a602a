"""Floor 1: networks without any opinion on the loss. They map a batch of one shape to a batch of another."""

from isthmus.nn.base import Network, activation, activations, initialise, materialise
from isthmus.nn.conv import ConvDecoder, ConvEncoder
from isthmus.nn.mlp import MLP
from isthmus.nn.tied import TiedConv, TiedMLP

__all__ = ["MLP", "ConvDecoder", "ConvEncoder", "Network", "TiedConv", "TiedMLP", "activation", "activations", "initialise", "materialise"]
