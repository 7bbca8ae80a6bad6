"""Every setting, once: its name, type, default, meaning and rule.

A setting is taken from the command line, else from the environment (`BANDSTAND_` and its name in
capitals), else from the TOML file, else it has its default. The table in `server/README.md` is held
against this file by a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, get_args

from server.auth.door import Policy
from server.auth.keys import ApiKey
from server.auth.settings import API_KEYS, parse_keys
from server.errors import BadSettings
from server.limits import Limits
from server.log import LogFormat, LogLevel

ENVIRONMENT_PREFIX: Final = "BANDSTAND_"
_TRUE: Final = {"1", "true", "yes", "on"}
_FALSE: Final = {"0", "false", "no", "off"}


def _setting(default: Any, meaning: str, *, low: float | None = None) -> Any:
    return field(default=default, metadata={"meaning": meaning, "low": low})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator may set. Sizes are in bytes, times in seconds."""

    host: str = _setting("127.0.0.1", "Address to listen on.")
    port: int = _setting(4200, "Port to listen on; 0 takes a free one.", low=0)
    db: str = _setting("bandstand.db", "The SQLite file; created if it is not there.")
    in_memory: bool = _setting(False, "Store nothing on disk; everything ends with the process.")
    open: bool = _setting(
        False, "Let anybody connect on an address that is not loopback, without keys."
    )
    policy: Policy = _setting(
        "off",
        "`off`: any key is a label. `observe`: whom `enforce` would refuse is counted and let in."
        " `enforce`: only API keys and Clerk tokens get in.",
    )
    clerk: str = _setting(
        "", "Clerk's publishable key (`pk_live_...`) or issuer URL: who connects needs its token."
    )
    clerk_pem: str = _setting(
        "", "A file with the instance's public key, instead of fetching its keys."
    )
    clerk_azp: str = _setting(
        "", "Origins that tokens may have been made for (`azp`), separated by spaces; empty: any."
    )
    clerk_allow_missing_azp: bool = _setting(
        False, "Accept tokens without `azp` beside that list: native apps, Expo among them."
    )
    clerk_audience: str = _setting("", "What `aud` must contain; empty: it is not looked at.")
    clerk_template_seconds: float = _setting(
        0.0,
        "Accept tokens of JWT templates that live so long at most; needs an audience."
        " They outlive sign-out. 0: never.",
        low=0,
    )
    clerk_stale_seconds: float = _setting(
        86_400.0, "For how long Clerk's keys serve on while none can be fetched.", low=0
    )
    clerk_resume_seconds: float = _setting(
        0.0,
        "Let an expired token back in if its session was connected so recently. 0: never.",
        low=0,
    )
    token_parameter: str = _setting("token", "The query parameter that may hold a token.")
    origins: str = _setting(
        "",
        "Origins that browsers may connect from, separated by spaces; empty: any, and Clerk's"
        " cookie does not count.",
    )
    trusted_proxies: str = _setting(
        "127.0.0.1 ::1", "Addresses and networks whose `X-Forwarded-For` is believed."
    )
    max_connection_seconds: float = _setting(
        0.0, "Close a connection at this age, with 4401, so that it comes back. 0: never.", low=0
    )
    log_level: LogLevel = _setting("info", "`debug`, `info`, `warning` or `error`.")
    log_format: LogFormat = _setting("console", "`console` for people, `json` for programs.")
    max_message_bytes: int = _setting(
        16 * 1024 * 1024,
        "The largest websocket message taken; a larger one closes with 1009.",
        low=256 * 1024,
    )
    memory_bytes: int = _setting(
        256 * 1024 * 1024,
        "CoValues kept in memory; beyond it, idle ones are let go, and deliveries wait.",
        low=1024 * 1024,
    )
    outbox_bytes: int = _setting(
        1024 * 1024,
        "Content that waits for one peer; a slower reader gets the rest from the store.",
        low=64 * 1024,
    )
    held_bytes: int = _setting(
        8 * 1024 * 1024,
        "Content of one peer that is not durable yet; beyond it, it is not read from.",
        low=64 * 1024,
    )
    total_held_bytes: int = _setting(
        128 * 1024 * 1024,
        "The same over all peers; beyond it, only small edits are read.",
        low=1024 * 1024,
    )
    parked_bytes: int = _setting(
        8 * 1024 * 1024,
        "Content of one peer that waits for accounts and groups which it was asked for.",
        low=0,
    )
    total_parked_bytes: int = _setting(
        64 * 1024 * 1024,
        "The same over all peers; beyond either, it is dropped, and asked for again in time.",
        low=0,
    )
    parked_seconds: float = _setting(60.0, "How long it waits.", low=1)
    total_outbox_bytes: int = _setting(
        128 * 1024 * 1024,
        "What waits for all peers together; beyond it, each gets 64 KB at a time, the rest later.",
        low=1024 * 1024,
    )
    total_unfinished_bytes: int = _setting(
        64 * 1024 * 1024,
        "Messages of all peers that are not wholly here or not dealt with; beyond it, the largest"
        " closes with 1013.",
        low=1024 * 1024,
    )
    subscriptions: int = _setting(
        100_000,
        "CoValues that one peer is told of; beyond it, no longer of those it touched first.",
        low=1_000,
    )
    total_subscriptions: int = _setting(
        500_000, "The same over all peers; beyond it, who has most gives way.", low=1_000
    )
    total_arrears_bytes: int = _setting(
        128 * 1024 * 1024,
        "What is remembered of peers that do not hold all of a CoValue yet; beyond it, who makes"
        " most of it closes with 1013.",
        low=1024 * 1024,
    )
    connections: int = _setting(10_000, "Connections at a time; more are answered with 503.", low=1)
    address_connections: int = _setting(
        1_000,
        "Connections at a time from one IPv4 address or IPv6 /64, proxies excepted. 0: any number.",
        low=0,
    )
    ping_seconds: float = _setting(
        4.0, "Time between pings; Jazz clients give up after 10 s without any.", low=0.1
    )
    silence_seconds: float = _setting(
        60.0, "A peer that answers nothing, not even protocol pings, for so long is dropped.", low=1
    )
    handshake_seconds: float = _setting(
        10.0, "How long a connection may take to become a websocket.", low=0.1
    )
    shutdown_seconds: float = _setting(
        8.0, "How long a stop may take to write what has arrived and to close peers.", low=0.1
    )

    api_keys: tuple[ApiKey, ...] = ()
    """Keys from the tables `[api_keys.NAME]` of the settings file."""

    def limits(self) -> Limits:
        """The node's limits."""
        return Limits(
            memory_bytes=self.memory_bytes,
            outbox_bytes=self.outbox_bytes,
            held_bytes=self.held_bytes,
            total_held_bytes=self.total_held_bytes,
            parked_bytes=self.parked_bytes,
            total_parked_bytes=self.total_parked_bytes,
            parked_s=self.parked_seconds,
            subscriptions=self.subscriptions,
            total_subscriptions=self.total_subscriptions,
            total_arrears_bytes=self.total_arrears_bytes,
        )


_FIELDS: Final = {f.name: f for f in fields(Settings) if f.metadata}


def load_settings(
    arguments: Mapping[str, Any], environment: Mapping[str, str], config: str | None
) -> Settings:
    """Gather the settings. `arguments` are those given on the command line, `config` a TOML path.

    Raises `BadSettings` for an unknown name, a value of the wrong type or range, and an unreadable
    file; the message names the setting and where it came from.
    """
    values: dict[str, Any] = {}
    if config is not None:
        for name, value in _read_toml(config).items():
            if name == API_KEYS:
                values[name] = parse_keys(value, config)
            else:
                values[name] = _checked(name, value, config)
    for variable, text in environment.items():
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if variable.startswith(ENVIRONMENT_PREFIX) and name != "config":
            values[name] = _checked(name, _from_text(name, text, variable), variable)
    for name, value in arguments.items():
        values[name] = _checked(name, value, f"--{name.replace('_', '-')}")
    settings = Settings(**values)
    if settings.ping_seconds > 5:
        raise BadSettings(
            f"ping_seconds is {settings.ping_seconds:g}: Jazz clients reconnect after 10 s without"
            " a message, so it must be at most 5"
        )
    return settings


def _read_toml(path: str) -> dict[str, Any]:
    import tomllib

    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise BadSettings(f"cannot read the settings file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path} is no TOML: {error}") from None


def _kind(name: str, origin: str) -> type:
    known = _FIELDS.get(name)
    if known is None:
        raise BadSettings(f"{origin}: there is no setting {name!r}; see `bandstand serve --help`")
    return type(known.default)


def _from_text(name: str, text: str, origin: str) -> Any:
    """A setting as the environment gives it, in its own type."""
    kind = _kind(name, origin)
    try:
        if kind is bool:
            if text.lower() not in _TRUE | _FALSE:
                raise ValueError
            return text.lower() in _TRUE
        return kind(text)
    except ValueError:
        raise BadSettings(f"{origin} is {text!r}, but {name} is a {kind.__name__}") from None


def _checked(name: str, value: Any, origin: str) -> Any:
    kind: Any = _kind(name, origin)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise BadSettings(f"{origin}: {name} is {value!r}, but it is a {kind.__name__}")
    setting = _FIELDS[name]
    low = setting.metadata["low"]
    if low is not None and not (low <= value < float("inf")):
        raise BadSettings(f"{origin}: {name} is {value!r}, but it must be at least {low:g}")
    if name == "port" and value > 65_535:
        raise BadSettings(f"{origin}: port is {value}, but it must be at most 65535")
    choices = {
        "log_level": get_args(LogLevel),
        "log_format": get_args(LogFormat),
        "policy": get_args(Policy),
    }.get(name)
    if choices and value not in choices:
        raise BadSettings(f"{origin}: {name} is {value!r}, but it must be {' or '.join(choices)}")
    return value


def meaning(name: str) -> str:
    """What a setting is for, as `--help` and the documentation show it."""
    return str(_FIELDS[name].metadata["meaning"])


def default(name: str) -> Any:
    """What a setting is if nobody sets it."""
    return _FIELDS[name].default


def names() -> list[str]:
    """All settings, in their order."""
    return list(_FIELDS)
