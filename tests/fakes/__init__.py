"""Stand-ins for the two things that have a second implementation: the provider and the clock."""
