"""Tells people and programs outside: what has ended, what is wrong, and that all is well.

Beside the stages, which know nothing of it: it reads in the ledger what they have recorded. Nothing
here holds a job, and nothing here is waited for when the daemon ends.
"""
