"""trivet: train and evaluate small neural retrievers, from backbone to published number."""

__version__ = "0.1.0"
