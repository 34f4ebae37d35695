"""Losses are functions of tensors. They hold no model and make no distributed call."""
