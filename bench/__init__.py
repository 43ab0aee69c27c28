"""Benchmarks: each file pairs us with our peers in one process. `make bench`, or `python -m bench NAME`."""
