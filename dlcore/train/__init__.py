"""Training: a loop that shows its progress, stops when it is told to, and resumes to the bit."""

from dlcore.train.callbacks import BestModel, Callback, Checkpoint, ClipGradNorm, EarlyStopping
from dlcore.train.logs import CSVLog, JSONLog, ProgressPlot, RateLog, TensorBoardLog
from dlcore.train.metrics import Metric, accuracy, f1, mae, precision, r2, recall, top_k_accuracy
from dlcore.train.running import History
from dlcore.train.trainer import Trainer

__all__ = [
    "BestModel", "CSVLog", "Callback", "Checkpoint", "ClipGradNorm", "EarlyStopping", "History", "JSONLog",
    "Metric", "ProgressPlot", "RateLog", "TensorBoardLog", "Trainer", "accuracy", "f1", "mae", "precision",
    "r2", "recall", "top_k_accuracy",
]
