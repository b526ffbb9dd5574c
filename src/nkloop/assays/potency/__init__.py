"""Relative potency against a standard: parallel lines, parallel curves, validity, combination of assays."""
