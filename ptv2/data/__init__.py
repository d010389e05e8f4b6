"""Examples: from files, the hub or made up, to encoded sets and batches. Knows no task."""
