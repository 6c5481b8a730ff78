"""Does it work? Simulated bank, demo and benchmarks."""
