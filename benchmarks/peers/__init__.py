"""One file a peer: a function for each workload that it can do.

Such a function takes the variant and the data, and gives the phases by name.  A phase is called
without arguments, does one run to its end, and returns what the peers must agree on: a number, an
array of the peer's own kind, or a tuple of those.  ``host`` turns one of them into NumPy.
"""
