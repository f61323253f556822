"""batchd: drop a file into a folder; later the answers lie in another folder."""

__version__ = "0.1.0"
