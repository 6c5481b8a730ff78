"""From features to a release."""
