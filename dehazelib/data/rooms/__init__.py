"""The embedded data set: rooms rendered with depth, the same pixels on every machine. Its door is scenes.py."""
