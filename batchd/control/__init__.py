"""What people ask of a root, whether its daemon runs or not, and what they want of a running one.

Reading changes nothing. Writing is `wishes.py`'s, inside the daemon, for whoever may.
"""
