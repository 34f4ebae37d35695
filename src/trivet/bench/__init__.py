"""What is measured, and how a number is kept."""
