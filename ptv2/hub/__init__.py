"""The hub: fetching from it, showing what is fetched, and saying in one line why a fetch failed.

`HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` and `HF_HUB_OFFLINE=1` (cache only, no network) work as in `huggingface_hub`, which
reads them when it is imported.
"""
