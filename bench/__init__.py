"""Benchmarks: scripts that print tables, run by hand, and never a test. README.md beside this says how."""
