"""The customer at a moment: tables in, features and states out."""
