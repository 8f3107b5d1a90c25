"""Benchmarks, each beside a named peer in the same run, printed as tables: ratios carry over."""
