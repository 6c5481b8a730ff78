"""A bank with a known truth: tables of the contract, and potential outcomes on demand."""
