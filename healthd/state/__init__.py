"""What was observed becomes what is known."""
