"""Discovery: standing orders walk the publication times of a provider, and what they find is registered once."""
