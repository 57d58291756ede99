"""What ``numfuse bench`` runs: numfuse beside its NumPy reference and every peer installed here.

================  ==================================================================================
`cases`           what is computed: sizes, options, inputs from a fixed seed, and the work in it
`peers`           who computes it: one file a library, written as that library's own pages advise
`judge`           what is right: float64 truth, and how far an answer is from it
`contest`         the method: own processes, exclusive turns, alternating rounds, right before fast
`process`         the parent's end of a child process; `child` is the child's end
`contestant`      what a contestant's child does: prepares, answers, takes timed turns
`machine`         what it is, and whether others use it too
`record`          what was measured, as JSON, and the medians and quartiles that follow from it
`report`          the table and the progress; `chart` is the picture; `run` is the whole command
================  ==================================================================================
"""
