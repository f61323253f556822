"""What it takes: prices, and later tokens counted exactly."""
