"""What people ask of a root, whether its daemon runs or not. It only reads, and changes nothing."""
