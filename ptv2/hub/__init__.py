"""The hub: fetch from it, push to it, show what is fetched, and explain a failure in one line.

`HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` and `HF_HUB_OFFLINE=1` (cache only, no network) work as in `huggingface_hub`, which
reads them when it is imported.
"""
