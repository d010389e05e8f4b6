"""The hub: fetch from it, show what is fetched, and explain a failed fetch in one line.

`HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` and `HF_HUB_OFFLINE=1` (cache only, no network) work as in `huggingface_hub`, which
reads them when it is imported.
"""
