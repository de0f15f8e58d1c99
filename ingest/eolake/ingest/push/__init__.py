"""Push: subscriptions whose notifications only lower the latency; polling is the truth."""
