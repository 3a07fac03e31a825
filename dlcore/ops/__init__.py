"""Everything that can be computed, by subject; ``dl.name`` is ``ops.name``.

``arithmetic`` and ``shapes`` lie at the bottom; on them ``transcendental``, ``indexing`` and
``products``; then ``complexes``, ``reductions``, ``joining``, ``contractions``, ``ordering``,
``grouping`` and ``special``; then ``cumulative``, ``activations`` and ``losses``.  Beside them, for images,
stand ``windows``, ``resampling``, ``convolution``, ``pooling``, ``interpolation`` and ``normalization``, and
``attention``.  What networks are made of, users find in ``dlcore.nn.functional``, ``fourier`` in
``dlcore.fft``, and what is about matrices in ``dlcore.linalg``.  To add an operation,
declare it in the file of its subject and name it here.
"""

from dlcore.ops.arithmetic import (
    add,
    ceil,
    clip,
    copysign,
    divide,
    equal,
    floor,
    floor_divide,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    ones_like,
    pow,
    remainder,
    round,
    sign,
    signbit,
    square,
    subtract,
    trunc,
    where,
    zeros_like,
)
from dlcore.ops.complexes import abs, angle, conj, imag, real
from dlcore.ops.complexes import is_complex as is_complex  # for the boundaries of passes
from dlcore.ops.contractions import einsum, outer, tensordot
from dlcore.ops.cumulative import cummax, cumprod, cumsum, logcumsumexp, prod
from dlcore.ops.grouping import one_hot, scatter_add, segment_max, segment_sum
from dlcore.ops.indexing import getitem, nonzero, take, take_along_axis
from dlcore.ops.joining import concat, pad, split, stack, unstack
from dlcore.ops.ordering import argsort, searchsorted, sort, topk
from dlcore.ops.products import matmul
from dlcore.ops.reductions import (
    all,
    any,
    argmax,
    argmin,
    count_nonzero,
    diff,
    isin,
    logsumexp,
    max,
    mean,
    min,
    std,
    sum,
    var,
)
from dlcore.ops.shapes import (
    broadcast_to,
    expand_dims,
    flatten,
    flip,
    matrix_transpose,
    meshgrid,
    moveaxis,
    permute_dims,
    repeat,
    reshape,
    roll,
    squeeze,
    swapaxes,
    tile,
    tril,
    triu,
)
from dlcore.ops.special import (
    digamma,
    erf,
    erfc,
    erfinv,
    lgamma,
    logit,
    nan_to_num,
    polygamma,
    sinc,
    xlogy,
)
from dlcore.ops.transcendental import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    exp,
    exp2,
    expm1,
    hypot,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    reciprocal,
    rsqrt,
    sigmoid,
    sin,
    sinh,
    sqrt,
    tan,
    tanh,
)
from dlcore.ops.writing import at as at  # for x.at, which is the way to it

__all__ = [
    "abs", "acos", "acosh", "add", "all", "angle", "any", "argmax", "argmin", "argsort", "asin", "asinh",
    "atan", "atan2", "atanh", "broadcast_to", "ceil", "clip", "concat", "conj", "copysign", "cos", "cosh",
    "count_nonzero", "cummax", "cumprod", "cumsum", "diff", "digamma", "divide", "einsum", "equal", "erf",
    "erfc", "erfinv", "exp", "exp2", "expand_dims", "expm1", "flatten", "flip", "floor", "floor_divide",
    "getitem", "greater", "greater_equal", "hypot", "imag", "isfinite", "isin", "isinf", "isnan", "less",
    "less_equal", "lgamma", "log", "log1p", "log2", "log10", "logaddexp", "logcumsumexp", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logit", "logsumexp", "matmul", "matrix_transpose", "max",
    "maximum", "mean", "meshgrid", "min", "minimum", "moveaxis", "multiply", "nan_to_num", "negative",
    "nonzero", "not_equal", "one_hot", "ones_like", "outer", "pad", "permute_dims", "polygamma", "pow",
    "prod", "real", "reciprocal", "remainder", "repeat", "reshape", "roll", "round", "rsqrt",
    "scatter_add", "searchsorted", "segment_max", "segment_sum", "sigmoid", "sign", "signbit", "sin",
    "sinc", "sinh", "sort", "split", "sqrt", "square", "squeeze", "stack", "std", "subtract", "sum",
    "swapaxes", "take", "take_along_axis", "tan", "tanh", "tensordot", "tile", "topk", "tril", "triu",
    "trunc", "unstack", "var", "where", "xlogy", "zeros_like",
]
