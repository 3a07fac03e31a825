"""Data in batches: a dataset says what there is, a loader in which order and portions it comes."""

from dlcore.data.datasets import ArrayDataset, Dataset
from dlcore.data.loading import DataLoader

__all__ = ["ArrayDataset", "DataLoader", "Dataset"]
