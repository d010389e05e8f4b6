"""Sweeps: how their jobs end, searches by Optuna that prune and go on, and jobs that a cluster takes back."""
