"""The provider: what we ask of it, and the one place that knows its SDK."""
