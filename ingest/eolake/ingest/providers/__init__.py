"""Providers: where products come from. A provider is one module and one entry point of the group `eolake.providers`."""
