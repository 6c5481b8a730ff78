"""Customer tags (客户标签): named labels people use, declared over features, facts and scores.

`tag` says what a tag is, `book` reads what a bank sets in YAML, one module a group declares the
tags and the facts only they read, `registry` lists them, `build` computes them.
"""
