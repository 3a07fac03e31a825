"""What the tests of dlcore itself draw, beyond what :mod:`dlcore.testing.strategies` offers everyone."""

from hypothesis import settings
from hypothesis import strategies as st

from dlcore.testing.calls import subjects

SIZES_AND_NONE = st.integers(0, 2)
SUBJECTS = subjects()

TRANSFERRING = {
    "nonzero": "the device alone knows the shape of its result",
    "segment_max()": "a sample gives it segments in a list of the host",
}
"""What cannot be called without a copy or a wait, and why."""


def fewer(divisor: int) -> settings:
    """The profile's settings with fewer examples, for laws that are dear."""
    return settings(max_examples=max(1, settings().max_examples // divisor))
