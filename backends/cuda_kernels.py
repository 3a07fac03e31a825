"""Kernels of the CUDA backend: what CuPy has no function for, or only one that waits.

They are written for every dtype that CuPy compiles, bfloat16 included: ``a = a + b``, because its
class lacks ``+=``; constants cast to the type; no literal of double precision.
"""

from __future__ import annotations

import cupy as cp

bound_index = cp.ElementwiseKernel(
    "I index, int64 size, int64 operation", "int64 inside, raw int64 report",
    """
    long long place = (long long)index;
    if (place < 0) place = place + size;
    if (place < 0 || place >= size) {
        report[0] = operation;
        report[1] = (long long)index;
        report[2] = size;
        place = place < 0 ? 0 : size - 1;
    }
    inside = place;
    """,
    "dlcore_bound_index",
)
"""Index → place in 0..size-1; what lies outside is moved to the edge and reported.

Threads may report at once: each writes whole numbers, so the report is of one kernel and names one
of its wrong indices.
"""

add_runs = cp.ElementwiseKernel(
    "raw int64 place, raw int64 order, raw T value, int64 count, T zero", "raw T out",
    """
    if (i == 0 || place[i - 1] != place[i]) {
        T total = zero;
        for (long long j = i; j < count && place[j] == place[i]; ++j)
            total = total + value[order[j]];
        out[place[i]] = out[place[i]] + total;
    }
    """,
    "dlcore_add_runs",
)
"""Adds values at sorted places, each run of equal places by one thread and in order.

Unlike atomic additions it gives the same bits each time it runs.
"""

zero_safe_multiply = cp.ElementwiseKernel(
    "T d, T r", "T out",
    "T product = (T)(d * r); out = d == (T)0 ? (T)0 : product",  # halves multiply to float
    "dlcore_zero_safe_multiply",
)
"""``d * r``, but 0 where ``d`` is 0."""

zero_safe_divide = cp.ElementwiseKernel(
    "T d, T r", "T out",
    "T quotient = (T)(d / r); out = d == (T)0 ? (T)0 : quotient",
    "dlcore_zero_safe_divide",
)
"""``d / r``, but 0 where ``d`` is 0."""

philox = cp.ElementwiseKernel(
    "uint64 key_low, uint64 key_high, uint64 c0, uint64 c1, uint64 c2, uint64 c3, "
    "int64 skipped, int64 count",
    "raw uint64 words",
    """
    unsigned long long a = c0 + i, b = c1, c = c2, d = c3;
    if (a < c0 && ++b == 0 && ++c == 0) ++d;
    unsigned long long k0 = key_low, k1 = key_high;
    for (int round = 0; round < 10; ++round) {
        unsigned long long high_a = __umul64hi(0xD2E7470EE14C6C93ULL, a);
        unsigned long long low_a = 0xD2E7470EE14C6C93ULL * a;
        unsigned long long high_c = __umul64hi(0xCA5A826395121157ULL, c);
        unsigned long long low_c = 0xCA5A826395121157ULL * c;
        a = high_c ^ b ^ k0;
        b = low_c;
        c = high_a ^ d ^ k1;
        d = low_a;
        k0 = k0 + 0x9E3779B97F4A7C15ULL;
        k1 = k1 + 0xBB67AE8584CAA73BULL;
    }
    unsigned long long block[4] = {a, b, c, d};
    for (int j = 0; j < 4; ++j) {
        long long position = 4 * (long long)i + j - skipped;
        if (position >= 0 && position < count) words[position] = block[j];
    }
    """,
    "dlcore_philox4x64",
)
"""The blocks of Philox4x64-10 from counter ``c3 c2 c1 c0`` on, one per thread, four words each.

Multipliers and key increments: Salmon, Moraes, Dror & Shaw (2011), "Parallel random numbers: as
easy as 1, 2, 3", table 2 and section 3.3.
"""
