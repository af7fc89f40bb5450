"""Judges: rules are data, and one pure step makes conditions and transitions of what is known."""
