"""Who may connect: decided at the handshake, before anything else is said.

    carriers     what a request brings: an API key, a token, an origin
    addresses    which address it comes from, behind trusted proxies
    keys         API keys: hashes, roles, limits; the keyring
    token        a compact JWT taken apart, strictly, and its signature (RFC 7515, RFC 7519)
    claims       Clerk's rules for what a session token must say
    clerk        a Clerk instance: issuer, key set address, cookie names
    jwks         its signing keys (RFC 7517), fetched and kept
    revocation   sessions that were ended, and those that were live a moment ago
    penalties    addresses that were refused again and again
    usage        what each key has used; its limits
    door         all of it together: a request in, an identity or a refusal out

Nothing here knows websockets or peers: `gateway` does.
"""
