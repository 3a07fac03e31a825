"""What this machine can test, in its own words."""

from functools import cache

import backends


@cache
def why_no_cuda() -> str:
    """The reason why no test can run on CUDA here; empty if one can."""
    try:
        with backends.use_backend("cuda"):
            return ""
    except backends.BackendError as error:
        return str(error)
