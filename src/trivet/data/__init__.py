"""What is trained on: sources, their mixture, and what must not be in them."""
