"""What this machine can test, in its own words."""

from functools import cache

import backends
import dlcore as dl


@cache
def why_no_cuda() -> str:
    """The reason why no test can run on CUDA here; empty if one can."""
    try:
        with backends.use_backend("cuda"):
            return ""
    except backends.BackendError as error:
        return str(error)


def settled(result):
    """``result``, after its device has reported what it found wrong; a GPU does so when it is waited for."""
    dl.synchronize()
    return result
