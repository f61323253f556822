"""How the stages are kept running: loops, bells, clock, watcher, signals. Knows no stage by name."""
