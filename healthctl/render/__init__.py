"""Pure functions from what the daemon tells to lines of text: (object, width, style) -> lines."""
