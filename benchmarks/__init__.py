"""How fast the gateway is, beside others, on this machine: `./benchmarks/run.sh`.

A benchmark is no test. It starts a model host that costs next to nothing, the gateway with all on,
and the peers; it alternates rounds between them, reads their CPU time from /proc, and writes
docs/BENCHMARKS.md.
"""
