"""Everything in schema `eolake`: tables, migrations, named queries, clock, events.

The portions above add policy only; no other module writes SQL against this schema.
"""
