"""Configuration: its keys, their defaults and ranges, the YAML file, and microphone profiles."""

__all__ = [
    "audio",
    "device_spec",
    "keys",
    "loading",
    "profiles",
    "schema",
    "values",
    "yaml_nodes",
]
