"""What a claim of speed is measured with: dlcore and its peers on the same work, in the same run.

    python -m benchmarks               # every workload, every peer that is installed
    python -m benchmarks tiny mlp --peers torch_eager dlcore_eager --threads 1 2
    python -m benchmarks --check       # values only: do all compute the same?

A workload (``workloads/``) is data and a sentence; a peer (``peers/``) is a file with a function
of the same name for each workload that it can do.  ``driver`` starts one process per peer and
times them in interleaved rounds, so that a disturbance of the machine meets all of them.
"""
