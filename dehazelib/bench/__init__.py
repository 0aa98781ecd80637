"""Benchmarks: alternatives timed in turns on one machine.

Each of affinity, training and inference has run(), which measures for some minutes, keeps its rows in
results/benchmarks/<name>.csv beside those of other machines, and returns the table of ratios to print.
"""
