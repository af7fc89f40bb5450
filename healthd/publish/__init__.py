"""What is known goes outside: one module per way."""
