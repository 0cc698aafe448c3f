"""Benchmarks: `python -m benchmarks --help`. Each row is ours, the peers, and the floor (bytes over copy bandwidth)."""
