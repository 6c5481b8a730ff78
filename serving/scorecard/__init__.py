"""The scorecard as a tool: checked when it is written, shown at design, held against the facts."""
