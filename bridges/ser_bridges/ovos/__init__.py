"""`ser-ovos`: the daemon's results on the message bus of Open Voice OS."""
