"""What the prompts of a finished run do: attention, nearest tokens, ablation, probes."""
