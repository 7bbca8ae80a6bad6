"""Bandstand and Jazz's own server under the same load, side by side. See `bench/README.md`."""
