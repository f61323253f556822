"""The suites, and the fakes they share."""
