"""Neural networks: modules and layers, and what they compute as functions in ``functional``."""

from dlcore.nn import functional
from dlcore.nn.activations import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from dlcore.nn.layers import Dropout, Flatten, Identity, Linear
from dlcore.nn.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CosineEmbeddingLoss,
    CrossEntropyLoss,
    HingeLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
    SquaredLoss,
    TripletMarginLoss,
)
from dlcore.nn.modules import Buffer, Module, ModuleList, Parameter, Sequential
from dlcore.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

__all__ = [
    "CELU", "ELU", "GELU", "GLU", "GRU", "LSTM", "RNN", "SELU", "BCELoss", "BCEWithLogitsLoss", "Buffer",
    "CosineEmbeddingLoss", "CrossEntropyLoss", "Dropout", "Flatten", "GRUCell", "Hardsigmoid",
    "Hardswish", "Hardtanh", "HingeLoss", "HuberLoss", "Identity", "KLDivLoss", "L1Loss", "LSTMCell",
    "LeakyReLU", "Linear", "LogSigmoid", "LogSoftmax", "MSELoss", "Mish", "Module", "ModuleList",
    "NLLLoss", "PReLU", "Parameter", "RNNCell", "ReLU", "ReLU6", "Sequential", "SiLU", "Sigmoid",
    "SmoothL1Loss", "Softmax", "Softplus", "Softsign", "SquaredLoss", "Tanh", "TripletMarginLoss",
    "functional",
]
