"""Kernels compiled for a device by NVRTC, which needs no device.

CuPy's own way to its compiler asks the device first, so this goes around it, by private functions
of CuPy: they are used in this file alone.
"""

import importlib

import numpy as np

ARCHITECTURES = ("sm_80", "sm_90", "sm_120")
"""Of A100, of H100 and H200, and of consumer cards since 2025."""


def cubin(kernel, dtype, architecture, *, contiguous):
    """The machine code of an ElementwiseKernel, from the source that CuPy would make of it.

    ``dtype`` is what every letter among its types stands for.
    """
    core = importlib.import_module("cupy._core.core")
    compiler = importlib.import_module("cupy.cuda.compiler")
    headers = "".join(f"#include <{h}>\n" for h in core._cupy_header_list)
    options = (
        *core.assemble_cupy_compiler_options(()),
        "-ftz=true",
        f"-arch={architecture}",
        "--device-as-default-execution-space",
    )
    code = headers + source(kernel, np.dtype(dtype).type, contiguous)
    return compiler._NVRTCProgram(code, "k.cu", method="cubin").compile(options)[0]


def source(kernel, scalar, contiguous):
    """What CuPy would hand to its compiler for arguments of one layout."""
    core = importlib.import_module("cupy._core.core")
    carray = importlib.import_module("cupy._core._carray")
    kernels = importlib.import_module("cupy._core._kernel")
    depth = 1 if contiguous else 3
    params = kernel.in_params + kernel.out_params
    infos = [
        kernels._ArgInfo(
            1, core.ndarray, p.dtype or scalar, 1 if p.raw else depth, contiguous, True
        )
        for p in params
    ]
    infos.append(kernels._ArgInfo(2, carray.Indexer, None, depth, True, True))
    letters = {p.ctype: scalar for p in params if p.dtype is None}
    return kernels._get_elementwise_kernel_code(
        tuple(infos),
        kernels._TypeMap(tuple(sorted(letters.items()))),
        kernel.params,
        kernel.operation,
        kernel.name,
        kernel.preamble,
        **kernel.kwargs,
    )
