"""The Jazz sync protocol, pure: bytes in, values out.

No I/O, no clock, no randomness, and no import of `server`. The rooms, from the bottom up:
`errors`, `base58`, `canonical`, `ids`, `known_state`, `transaction`, `header`, `session_log`,
`dependencies`, `roles`, `deletion`, `messages`, `frames`, `content`.
"""
