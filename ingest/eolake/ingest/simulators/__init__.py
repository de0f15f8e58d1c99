"""Simulators: products, and providers with faults on demand, for development without accounts and without a network."""
