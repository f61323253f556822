"""A faithful local stand-in for the OpenAI API: files, batches and direct calls over real HTTP.

It judges for itself and imports nothing of ours but the provider's published numbers, so that a
test against it compares two independent readings of the same reference.
"""
