"""The D-Bus face: it delegates, and keeps nothing but what was published last."""
