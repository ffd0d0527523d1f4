"""How a user sounds, for frameworks in which a program builds a voice assistant: no microphone, no daemon.

`VoiceReader` is what their bridges share.
"""
