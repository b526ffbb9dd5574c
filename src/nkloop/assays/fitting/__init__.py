"""Nonlinear least squares: one damped solver for many problems at once, logistic curves, intervals, comparisons."""
