"""The one adapter to transformers' Trainer, and exact resume."""
