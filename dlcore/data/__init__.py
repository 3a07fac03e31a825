"""Data in batches: a dataset says what there is, a loader in which order and portions it comes.

    >>> import dlcore as dl
    >>> loader = DataLoader(moons(100), batch_size=32, shuffle=True)
    >>> [tuple(inputs.shape) for inputs, targets in loader]
    [(32, 2), (32, 2), (32, 2), (4, 2)]
"""

from dlcore.data import transforms
from dlcore.data.collating import collate
from dlcore.data.datasets import ArrayDataset, ConcatDataset, Dataset, Examples, MappedDataset, Subset
from dlcore.data.drawn import line, moons, parabola, spirals
from dlcore.data.files import read_csv, read_npy, read_npz
from dlcore.data.loading import DataLoader
from dlcore.data.splitting import k_fold, split
from dlcore.data.tables import boston, diabetes, digits, mnist, wine
from dlcore.data.texts import Text, text

__all__ = [
    "ArrayDataset", "ConcatDataset", "DataLoader", "Dataset", "Examples", "MappedDataset", "Subset", "Text",
    "boston", "collate", "diabetes", "digits", "k_fold", "line", "mnist", "moons", "parabola", "read_csv",
    "read_npy", "read_npz", "spirals", "split", "text", "transforms", "wine",
]
