"""The record and its bytes: declarations, store, COGs, STAC, ledger, the gate, the local stack and the `eolake` command."""
