"""Encryption of what is stored: the key ring, envelopes around data keys, and what a version's row says about both."""
