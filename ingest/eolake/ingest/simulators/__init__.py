"""Simulators: providers and products that this package makes itself, so that nothing needs an account or a network."""
