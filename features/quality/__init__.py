"""Data quality: is what the bank delivers fresh, complete and like what it was before?

`limits` says what is tolerated, `profile` counts each table once, `drift` and `freshness` compare,
`report` gathers findings, `terminal` and `page` show them. A breach of the data contract never
comes this far: opening the source raises it.
"""
