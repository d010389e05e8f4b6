"""Data: examples from files, the hub or made up, encoded into sets and batches. Knows no task."""
