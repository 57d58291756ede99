"""The version, which Cargo.toml states too: a test holds the two together."""

__version__ = "0.1.0"
