"""STAC documents made from declarations and drafts; nothing here opens a file or a connection."""
