"""`ser-mqtt`: the daemon's events on an MQTT broker, and commands back; Home Assistant finds it by itself."""
