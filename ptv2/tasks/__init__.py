"""Shapes of tasks: how records become examples, scores predictions, and predictions numbers."""
