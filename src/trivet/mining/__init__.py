"""What stages need made first: hard negatives, and pairs that are known to be consistent."""
