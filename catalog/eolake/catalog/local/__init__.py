"""The local stack: a private PostgreSQL and the processes of `eolake up`, for one machine without Docker and without a cloud."""
