"""bandstand's server: sockets, peers, CoValues and the store, around the pure `protocol` room."""
