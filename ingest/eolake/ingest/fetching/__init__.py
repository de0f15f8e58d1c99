"""Fetching: lanes that lease a granule together with a connection, and bring its files under raw/."""
