"""Attention against the formula: any shape, any layout, any mix of options, on every level."""
