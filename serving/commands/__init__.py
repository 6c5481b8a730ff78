"""Commands of `python -m serving` beside the service: one module each, named after its command."""
