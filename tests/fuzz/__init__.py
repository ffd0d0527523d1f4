"""Fuzzing: generators of hostile input, what must hold whatever they make, and a corpus of found cases."""
