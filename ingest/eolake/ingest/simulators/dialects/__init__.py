"""Dialects: what a simulated provider answers, one module each; every one replays what real ones were seen to answer."""
