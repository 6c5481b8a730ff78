"""What is declared about a customer, one module a group of features."""
