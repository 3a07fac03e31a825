"""Linear algebra: ``dl.linalg``, with the names and conventions of the array-API standard.

All take stacks: the matrices are in the last two axes, and the axes before them broadcast.
"""

from dlcore.ops.contractions import outer
from dlcore.ops.decompositions import cholesky, qr
from dlcore.ops.determinants import det, slogdet
from dlcore.ops.least_squares import lstsq, pinv
from dlcore.ops.matrices import diagonal, trace
from dlcore.ops.norms import matrix_norm, norm, vector_norm
from dlcore.ops.solving import inv, matrix_power, solve, solve_triangular
from dlcore.ops.spectra import eigh, eigvalsh, svd, svdvals

__all__ = [
    "cholesky", "det", "diagonal", "eigh", "eigvalsh", "inv", "lstsq", "matrix_norm", "matrix_power", "norm",
    "outer", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd", "svdvals", "trace", "vector_norm",
]
