"""Models and the release they are served from."""
