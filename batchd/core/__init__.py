"""What batchd decides, as pure functions: no I/O, no clock, no event loop, no randomness."""
