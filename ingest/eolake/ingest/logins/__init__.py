"""Logins: from the reference of a secret to what a request carries. Secrets stay in memory and in files of mode 0600."""
