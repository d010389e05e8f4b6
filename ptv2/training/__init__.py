"""The training loop and what it needs: optimizer, states on disk, processes and devices."""
