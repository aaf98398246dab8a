"""What is scored, how, and what came out."""
