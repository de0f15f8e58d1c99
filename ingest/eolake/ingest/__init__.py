"""Bring in: providers, queue policy, sensors, workers."""
