"""Floor 1: networks without any opinion on the loss. They map a batch of one shape to a batch of another."""

from isthmus.nn.answers import Answers
from isthmus.nn.base import Network, activation, activations, initialise, materialise
from isthmus.nn.colouring import Colouring
from isthmus.nn.conv import ConvDecoder, ConvEncoder
from isthmus.nn.filling import FillingEncoder, TeamDecoder
from isthmus.nn.labelled import LabelledDecoder, LabelledEncoder
from isthmus.nn.mlp import MLP
from isthmus.nn.subpixel import SubpixelDecoder, SubpixelEncoder
from isthmus.nn.tied import TiedConv, TiedMLP
from isthmus.nn.tiling import tiled
from isthmus.nn.unet import UNet

__all__ = [
    "Answers",
    "Colouring",
    "ConvDecoder",
    "ConvEncoder",
    "FillingEncoder",
    "LabelledDecoder",
    "LabelledEncoder",
    "MLP",
    "Network",
    "SubpixelDecoder",
    "SubpixelEncoder",
    "TeamDecoder",
    "TiedConv",
    "TiedMLP",
    "UNet",
    "activation",
    "activations",
    "initialise",
    "materialise",
    "tiled",
]
