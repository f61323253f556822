"""What `make bench` runs: batchd measured against the least that the same work can cost."""
