"""Settings of a server that trusts one Clerk instance by its public key, without any network."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.clerk.instance import Instance


def trusting(folder: Path, instance: Instance, **more: str) -> dict[str, str]:
    """Environment variables; the key's file is written into `folder`. `more` are settings."""
    public = instance.keys[instance.kid].public_key()
    file = folder / "clerk.pem"
    file.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    settings = {"clerk": instance.issuer, "clerk_pem": str(file)} | more
    return {f"BANDSTAND_{name.upper()}": value for name, value in settings.items()}
