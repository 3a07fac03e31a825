"""Pages that are written by the registry: the table of operations and the gradient ledger."""
