"""Settings: every one of them from each place, which place wins, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from server import config
from server.config import Settings, load_settings
from server.errors import BadSettings

OTHER: dict[str, Any] = {
    "host": "::1",
    "port": 1234,
    "db": "other.db",
    "in_memory": True,
    "open": True,
    "policy": "observe",
    "clerk": "https://clerk.example.com",
    "clerk_pem": "key.pem",
    "clerk_azp": "https://app.example.com",
    "clerk_allow_missing_azp": True,
    "clerk_audience": "bandstand",
    "clerk_template_seconds": 300.5,
    "clerk_stale_seconds": 3600.5,
    "clerk_resume_seconds": 60.5,
    "token_parameter": "ticket",
    "origins": "https://app.example.com",
    "trusted_proxies": "10.0.0.0/8",
    "max_connection_seconds": 3600.25,
    "log_level": "debug",
    "log_format": "json",
    "max_message_bytes": 1_000_001,
    "memory_bytes": 2_000_002,
    "outbox_bytes": 300_003,
    "held_bytes": 400_004,
    "total_held_bytes": 5_000_005,
    "parked_bytes": 6,
    "total_parked_bytes": 60,
    "parked_seconds": 7.5,
    "total_outbox_bytes": 1_048_577,
    "total_unfinished_bytes": 1_048_578,
    "subscriptions": 1_001,
    "total_subscriptions": 1_002,
    "total_arrears_bytes": 1_048_579,
    "connections": 11,
    "address_connections": 12,
    "ping_seconds": 1.25,
    "silence_seconds": 8.5,
    "handshake_seconds": 9.5,
    "shutdown_seconds": 0.5,
}
"""A value other than the default for every setting. One that is added is to be added here."""

Case = tuple[str, Any]

each_setting = pytest.mark.parametrize("case", OTHER.items(), ids=OTHER.keys())


def toml(path: Path, text: str) -> str:
    """A settings file that holds `text`; its path."""
    file = path / "bandstand.toml"
    file.write_text(text)
    return str(file)


def refusal(
    arguments: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    file: str | None = None,
) -> str:
    """The one line that refuses these settings."""
    with pytest.raises(BadSettings) as error:
        load_settings(arguments or {}, environment or {}, file)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_every_setting_is_tried_out_here() -> None:
    assert OTHER.keys() == set(config.names())
    assert all(OTHER[name] != config.default(name) for name in OTHER)
    assert all(config.meaning(name).endswith(".") for name in OTHER)


def test_defaults() -> None:
    assert load_settings({}, {}, None) == Settings()
    assert all(getattr(Settings(), name) == config.default(name) for name in OTHER)


def test_out_of_the_box_nobody_else_gets_in() -> None:
    assert Settings().host == "127.0.0.1"
    assert not Settings().open
    assert not Settings().in_memory


@each_setting
def test_from_the_command_line(case: Case) -> None:
    name, value = case
    assert load_settings({name: value}, {}, None) == Settings(**{name: value})


@each_setting
def test_from_the_environment(case: Case) -> None:
    name, value = case
    settings = load_settings({}, {f"BANDSTAND_{name.upper()}": str(value)}, None)
    assert settings == Settings(**{name: value})
    assert type(getattr(settings, name)) is type(value)


@each_setting
def test_from_a_file(case: Case, tmp_path: Path) -> None:
    name, value = case
    file = toml(tmp_path, f"{name} = {json.dumps(value)}")
    assert load_settings({}, {}, file) == Settings(**{name: value})


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = toml(tmp_path, "port = 1\nparked_bytes = 1\nheld_bytes = 100_001\n")
    environment = {"BANDSTAND_PORT": "2", "BANDSTAND_PARKED_BYTES": "2"}
    settings = load_settings({"port": 3}, environment, file)
    assert (settings.port, settings.parked_bytes, settings.held_bytes) == (3, 2, 100_001)


def test_false_wins_as_true_does(tmp_path: Path) -> None:
    file = toml(tmp_path, "open = true")
    assert not load_settings({}, {"BANDSTAND_OPEN": "false"}, file).open


def test_what_is_overruled_must_be_right_all_the_same(tmp_path: Path) -> None:
    assert "BANDSTAND_PORT" in refusal({"port": 3}, {"BANDSTAND_PORT": "x"})
    assert "bandstand.toml" in refusal({"port": 3}, file=toml(tmp_path, "port = 'x'"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, True) for text in ("1", "true", "True", "TRUE", "yes", "on", "ON")],
        *[(text, False) for text in ("0", "false", "False", "no", "off", "OFF")],
    ],
)
def test_yes_and_no_in_the_environment(text: str, value: bool) -> None:
    assert load_settings({}, {"BANDSTAND_IN_MEMORY": text}, None).in_memory is value


@pytest.mark.parametrize("text", ["", "2", "y", "maybe", "truee", "-1", "None"])
def test_neither_yes_nor_no(text: str) -> None:
    message = refusal(environment={"BANDSTAND_IN_MEMORY": text})
    assert message == f"BANDSTAND_IN_MEMORY is {text!r}, but in_memory is a bool"


@pytest.mark.parametrize(
    ("text", "value"), [("2", 2.0), ("2.5", 2.5), ("25e-1", 2.5), ("4.999", 4.999)]
)
def test_seconds_in_the_environment(text: str, value: float) -> None:
    seconds = load_settings({}, {"BANDSTAND_PING_SECONDS": text}, None).ping_seconds
    assert seconds == value
    assert isinstance(seconds, float)


def test_whole_seconds_in_a_file_are_seconds(tmp_path: Path) -> None:
    seconds = load_settings({}, {}, toml(tmp_path, "ping_seconds = 3")).ping_seconds
    assert (seconds, type(seconds)) == (3.0, float)


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("port", "", "int"),
        ("port", "4200.0", "int"),
        ("port", "http", "int"),
        ("memory_bytes", "256MB", "int"),
        ("ping_seconds", "4s", "float"),
        ("ping_seconds", "", "float"),
    ],
)
def test_no_number_in_the_environment(name: str, text: str, kind: str) -> None:
    variable = f"BANDSTAND_{name.upper()}"
    message = refusal(environment={variable: text})
    assert message == f"{variable} is {text!r}, but {name} is a {kind}"


@pytest.mark.parametrize(
    ("line", "shown", "kind"),
    [
        ("port = '4200'", "'4200'", "int"),
        ("port = 4200.0", "4200.0", "int"),
        ("port = true", "True", "int"),
        ("port = [4200]", "[4200]", "int"),
        ("open = 1", "1", "bool"),
        ("open = 'yes'", "'yes'", "bool"),
        ("host = 127", "127", "str"),
        ("ping_seconds = true", "True", "float"),
        ("ping_seconds = '4'", "'4'", "float"),
        ("[port]\nnumber = 1", "{'number': 1}", "int"),
        ("log_level = 10", "10", "str"),
    ],
)
def test_a_wrong_type_in_a_file(tmp_path: Path, line: str, shown: str, kind: str) -> None:
    file = toml(tmp_path, line)
    name = line.partition(" ")[0].partition("]")[0].lstrip("[")
    assert refusal(file=file) == f"{file}: {name} is {shown}, but it is a {kind}"


@pytest.mark.parametrize(
    ("name", "low"),
    [(n, low) for n, f in config._FIELDS.items() if (low := f.metadata["low"]) is not None],
)
def test_too_small(name: str, low: float) -> None:
    kind = type(config.default(name))
    assert getattr(load_settings({name: kind(low)}, {}, None), name) == low
    option = f"--{name.replace('_', '-')}"
    less = low - 1 if kind is int else low - 0.01
    assert refusal({name: less}) == f"{option}: {name} is {less!r}, but it must be at least {low:g}"
    assert refusal(environment={f"BANDSTAND_{name.upper()}": str(less)}).startswith(
        f"BANDSTAND_{name.upper()}: {name} is {less!r}, "
    )


def test_every_number_has_a_least_value() -> None:
    numbers = {n for n in config.names() if type(config.default(n)) in (int, float)}
    assert numbers == {n for n, f in config._FIELDS.items() if f.metadata["low"] is not None}


def test_a_port_beyond_the_last() -> None:
    assert load_settings({"port": 65_535}, {}, None).port == 65_535
    assert refusal({"port": 65_536}) == "--port: port is 65536, but it must be at most 65535"


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e999"])
@pytest.mark.parametrize("name", ["parked_seconds", "ping_seconds", "shutdown_seconds"])
def test_seconds_that_never_end_or_are_none(name: str, text: str) -> None:
    assert name in refusal(environment={f"BANDSTAND_{name.upper()}": text})


@pytest.mark.parametrize("seconds", [5.01, 10, 60.0])
def test_pings_so_far_apart_that_clients_give_up(seconds: float) -> None:
    assert load_settings({"ping_seconds": 5.0}, {}, None).ping_seconds == 5
    message = refusal({"ping_seconds": seconds})
    assert message.startswith(f"ping_seconds is {seconds:g}: ")
    assert "at most 5" in message


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("log_level", ["debug", "info", "warning", "error"]),
        ("log_format", ["console", "json"]),
    ],
)
def test_one_of_a_few(name: str, choices: list[str]) -> None:
    for choice in choices:
        assert getattr(load_settings({name: choice}, {}, None), name) == choice
    for wrong in ("", "loud", choices[0].upper()):
        message = refusal(environment={f"BANDSTAND_{name.upper()}": wrong})
        assert message.startswith(f"BANDSTAND_{name.upper()}: {name} is {wrong!r}")
        assert all(choice in message for choice in choices)


@pytest.mark.parametrize("name", ["prot", "keys", "ping-seconds", "Port", "_FIELDS", ""])
def test_a_setting_that_there_is_not(tmp_path: Path, name: str) -> None:
    file = toml(tmp_path, f"{json.dumps(name)} = 1")
    assert refusal(file=file).startswith(f"{file}: there is no setting {name!r}")


def test_a_variable_that_there_is_not() -> None:
    message = refusal(environment={"BANDSTAND_PROT": "1"})
    assert message.startswith("BANDSTAND_PROT: there is no setting 'prot'")


def test_other_variables_are_left_alone() -> None:
    environment = {"PORT": "1", "HOST": "a", "XBANDSTAND_PORT": "x", "BANDSTAND": "x"}
    environment["BANDSTAND_CONFIG"] = "not for here"
    assert load_settings({}, environment, None) == Settings()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    file = str(tmp_path / "none.toml")
    expected = f"cannot read the settings file {file}: No such file or directory"
    assert refusal(file=file) == expected


def test_a_file_that_is_a_folder(tmp_path: Path) -> None:
    assert refusal(file=str(tmp_path)).startswith(f"cannot read the settings file {tmp_path}: ")


@pytest.mark.parametrize(
    "data", [b"port 4200", b"port = 1\nport = 2", b"host = \xff", b"\x00", b"= 3"]
)
def test_a_file_that_is_no_toml(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "bandstand.toml"
    file.write_bytes(data)
    assert refusal(file=str(file)).startswith(f"{file} is no TOML: ")


def test_an_empty_file(tmp_path: Path) -> None:
    assert load_settings({}, {}, toml(tmp_path, "# nothing yet\n")) == Settings()


def test_limits_are_the_settings() -> None:
    limits = Settings(**OTHER).limits()
    assert limits.parked_s == OTHER["parked_seconds"]
    for name in ("memory_bytes", "outbox_bytes", "held_bytes", "total_held_bytes", "parked_bytes"):
        assert getattr(limits, name) == OTHER[name]
