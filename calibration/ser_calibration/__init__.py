"""Measures a microphone and writes the profile that the daemon reads."""
