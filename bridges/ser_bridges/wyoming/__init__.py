"""`ser-wyoming`: a Wyoming service. Satellites send it audio and get emotions back; others subscribe to the daemon's.

Other bridges only pass the daemon's events on. This one also recognises, with one model for all clients.
"""
