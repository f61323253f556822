"""Rebuilds a lost ledger from work folders, receipts, what is left of it, and the provider's list.

One rule above all: no request that is at the provider is sent again. What can't be known is not
guessed; it is refused, or left where it lies, with a sentence.
"""
