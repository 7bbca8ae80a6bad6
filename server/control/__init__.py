"""The control socket of a running server: what `bandstand keys`, `usage` and `sessions` talk to.

A Unix socket beside the database, for its owner only. One request and one answer a connection, each
a msgpack value behind its length (four bytes, big-endian).

    messages    what can be asked, what is answered
    wire        one message on a stream
    books       keys and usage: what is asked of them, with or without a running server
    desk        the running server's side: books, and who is connected
    socket      the socket itself; asking a server
"""
