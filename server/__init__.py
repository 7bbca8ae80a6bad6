"""bandstand's server: sockets, peers, CoValues and the store, around the pure `protocol` room."""

__version__ = "0.1.0"
