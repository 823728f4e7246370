"""
Token counts made here, without a network: vendored rank data, each vendor's factors, and upper bounds.

Importing this package opens no file and imports no tokenizer; the first count does.
"""
