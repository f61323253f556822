"""What a task's job sends, and what comes of it: records rendered as the requests of a round, and
answers taken back to their records.

Stages ask here what a job's lines are (`lines.py`), and are told the same way for a file of request
lines and for a table.
"""
