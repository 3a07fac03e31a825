"""Kernels of the CUDA backend on the host: their own text in a loop, compiled by a C++ compiler."""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GPP = shutil.which("g++")
COMPILER = GPP or shutil.which("clang++")
needs_compiler = pytest.mark.skipif(
    COMPILER is None, reason="kernels run on the host only with g++ or clang++"
)
SANITIZER = ["-O1", "-g", "-fsanitize=address"]
FLAGS = ["-O0", "-w", "-shared", "-fPIC", "-std=c++17"]
"""How kernels are compiled; what checks their bounds adds SANITIZER."""

PREAMBLE = """
#include <complex>
#include <cstdint>
typedef long long int64; typedef unsigned long long uint64;
static inline uint64 __umul64hi(uint64 a, uint64 b) {
    return (uint64)(((unsigned __int128)a * b) >> 64);
}
"""
C_TYPES = {
    "bool": "bool", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long long",
    "uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned",
    "uint64": "unsigned long long", "float32": "float", "float64": "double",
    "complex64": "std::complex<float>", "complex128": "std::complex<double>",
}  # fmt: skip


def widened(type_):
    """The type in which the host computes ``type_``."""
    return "float32" if type_ in ("float16", "bfloat16") else type_


def loop(params, operation, types_):
    """The source of a function ``k`` that runs an elementwise ``operation`` step by step.

    ``params`` are triples of ``"raw "`` or nothing, a type or a letter for one, and a name.
    """
    pointers = ", ".join(f"{C_TYPES[t]}* p{n}" for n, t in enumerate(types_))
    names = "".join(
        f"{C_TYPES[t]}{'*' if raw else '&'} {name} = p{n}{'' if raw else '[i]'};\n"
        for n, (t, (raw, _, name)) in enumerate(zip(types_, params, strict=True))
    )
    letters = {kind: t for t, (_, kind, _) in zip(types_, params, strict=True)}
    aliases = "".join(f"typedef {C_TYPES[t]} {k};\n" for k, t in letters.items() if len(k) == 1)
    return (
        f'{PREAMBLE}{aliases}extern "C" void k(long long n, {pointers}) {{\n'
        f"for (long long i = 0; i < n; ++i) {{\n{names}{operation};\n}} }}"
    )


@cache
def compiled(source):
    """The function ``k`` of a C++ source."""
    folder = Path(tempfile.mkdtemp())
    (folder / "k.cpp").write_text(source)
    command = [COMPILER, *FLAGS, f"-I{ROOT / 'tests'}", "-o", "k.so", "k.cpp"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    library = ctypes.CDLL(str(folder / "k.so"))
    shutil.rmtree(folder)
    return library.k


def sanitized(*arguments):
    """What Python did with ``arguments`` where AddressSanitizer watches what ``SANITIZER`` compiled."""
    if GPP is None:
        raise RuntimeError("the bounds of kernels are checked with g++; install the package g++")
    command = [GPP, "-print-file-name=libasan.so"]
    library = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    environment = {
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",  # Python leaves much behind
        "PYTHONMALLOC": "malloc",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT, env=os.environ | environment, check=False, capture_output=True, text=True,
    )  # fmt: skip
