"""Neural networks: modules and layers, and what they compute as functions in ``functional``."""

from dlcore.nn import functional
from dlcore.nn.activations import (
    ELU,
    GELU,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from dlcore.nn.layers import Dropout, Flatten, Identity, Linear
from dlcore.nn.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
)
from dlcore.nn.modules import Buffer, Module, ModuleList, Parameter, Sequential
from dlcore.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

__all__ = [
    "ELU", "GELU", "GRU", "LSTM", "RNN", "BCELoss", "BCEWithLogitsLoss", "Buffer", "CrossEntropyLoss",
    "Dropout", "Flatten", "GRUCell", "HuberLoss", "Identity", "L1Loss", "LSTMCell", "LeakyReLU", "Linear",
    "LogSoftmax", "MSELoss", "Module", "ModuleList", "NLLLoss", "Parameter", "RNNCell", "ReLU",
    "Sequential", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh", "functional",
]
