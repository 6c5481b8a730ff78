"""The catalogue: every feature and tag a bank has, as a person reads them.

`entries` says what each is and needs, `spread` how it is distributed over customers, `importance`
how much a release makes of it; `page` and `terminal` show them.
"""
