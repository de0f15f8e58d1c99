"""The transfer engine: one file from anywhere to the local disk, resumed, verified, never trusted."""
