"""The one `Settings` of every process: read from the environment, checked as a whole, never repeated in an error.

`python -m broker.settings` prints the environment reference (deploy/environment.md).
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from broker.errors import ConfigError, Invalid
from broker.model.wall import Persons, SubjectWall, admitted_subjects

PREFIX = "DATANUTS_"
SAFE_REPLICATION = 3
"""Copies of every partition outside the embedded default, two of them in sync before a write counts (design R7)."""

_NODE = r"(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}"
_BOOTSTRAP = re.compile(rf"{_NODE}(?:,{_NODE})*")
_IRI_BASE = re.compile(r"urn:[a-z0-9][a-z0-9-]{0,31}:|https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/(?:[A-Za-z0-9._~-]+/)*")
_EXEMPT = re.compile(r"(?:[A-Za-z0-9.:/-]+(?:,\s*[A-Za-z0-9.:/-]+)*)?")
_ENDPOINT = re.compile(r"https?://[^/@?#\s]+(?:/[^@?#\s]*)?")


def _bootstrap(stated: str) -> str:
    if not _BOOTSTRAP.fullmatch(stated):
        raise ValueError("host:port, or several separated by commas")
    return stated


def _exempt(stated: str) -> str:
    if not _EXEMPT.fullmatch(stated):
        raise ValueError("host names, addresses and CIDRs, separated by commas")
    return stated


def _proxies(stated: str) -> str:
    try:
        for each in stated.split(","):
            ip_network(each.strip())
    except ValueError:
        raise ValueError("addresses and CIDRs, separated by commas") from None
    return stated


def _endpoint(stated: str) -> str:
    if not _ENDPOINT.fullmatch(stated):
        raise ValueError("an http or https URL without credentials or query")
    return stated.rstrip("/")


def _iri_base(stated: str) -> str:
    if not _IRI_BASE.fullmatch(stated):
        raise ValueError("a URN that ends in a colon, or an https URL that ends in a slash")
    return stated


class Settings(BaseSettings):
    """Everything an installation chooses. Made by `load_settings`; secrets do not show in its representation."""

    model_config = SettingsConfigDict(
        alias_generator=lambda name: f"{PREFIX}{name.upper()}",
        validate_by_name=True,
        validate_by_alias=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = Field(
        default=Path(".datanuts"),
        description="Folder of this installation's own files: keys, lane state, traces, embedded Kafka.",
    )
    kafka_bootstrap: Annotated[str, AfterValidator(_bootstrap)] | None = Field(
        default=None,
        validation_alias=AliasChoices(f"{PREFIX}KAFKA_BOOTSTRAP", "KAFKA_BOOTSTRAP"),
        description="Kafka to use, `host:port[,host:port…]`; without it an embedded node runs on this machine.",
    )
    kafka_username: str | None = Field(default=None, description="SCRAM-SHA-512 principal of the broker on that Kafka.")
    kafka_password: SecretStr | None = Field(
        default=None, description="Its password; prefer the file: an environment can be read by more programs."
    )
    kafka_password_file: Path | None = Field(default=None, description="File that holds its password, on one line.")
    kafka_protocol: Literal["SASL_SSL", "SASL_PLAINTEXT"] = Field(
        default="SASL_SSL",
        description="How to reach that Kafka; SASL_PLAINTEXT only on a network nobody else can read.",
    )
    kafka_ca: Path | None = Field(
        default=None, description="PEM file of the authorities that vouch for that Kafka; without it the system's."
    )
    single_node: bool = Field(
        default=False, description="That Kafka is one node, for tests: nothing is replicated, losing it loses the data."
    )
    replication: int | None = Field(
        default=None,
        ge=1,
        le=9,
        description="Copies of every partition; without it 1 on one node, else 3. Two must be in sync.",
    )
    lanes: int = Field(
        default=8,
        ge=1,
        le=256,
        description="Partitions of every source topic; chosen at installation, never changed after.",
    )
    clock_tolerance_s: int = Field(
        default=300,
        ge=0,
        le=86_400,
        description="Seconds by which the clock of a source may be ahead: what it says to have recorded later than that is quarantined.",
    )
    persons: Persons = Field(
        default="synthetic", description="Which people may be subjects here: fictional ones only, or real ones only."
    )
    admitted_subjects: Path | None = Field(
        default=None,
        description="List of published sample numbers that a synthetic installation admits too, one per line.",
    )
    policies: Path | None = Field(
        default=None, description="Folder of the policies; without it the one that was installed."
    )
    schemas: Path | None = Field(
        default=None, description="Folder of the schemas; without it the one that was installed."
    )
    iri_base: Annotated[str, AfterValidator(_iri_base)] = Field(
        default="urn:datanuts:",
        description="What the IRIs of agreements, products and own terms begin with in open forms: a URN or a URL.",
    )
    trust_roots: Path | None = Field(
        default=None,
        description="Folder of PEM certificates of the issuers whose signatures on protocols count; without it none does.",
    )
    issuers: Path | None = Field(
        default=None,
        description="YAML file of the OAuth issuers whose access tokens count (docs/identity.md); without it only our own.",
    )
    public_url: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        default=None,
        description="URL at which others reach the HTTP interface, and under which it issues access tokens; without it the one it listens on, if that is loopback, else it issues none.",
    )
    api_host: str = Field(default="127.0.0.1", description="Address on which the HTTP interface listens.")
    api_port: int = Field(default=8080, ge=0, le=65535, description="Its port; 0 takes any free one.")
    tls_port: int = Field(default=8443, ge=0, le=65535, description="Port for HTTPS; 0 takes any free one.")
    tls_certificate: Path | None = Field(
        default=None,
        description="PEM file of the certificate and its chain for HTTPS; without it `datanuts up` makes its own, and `datanuts api` speaks HTTP only.",
    )
    tls_key: Path | None = Field(default=None, description="PEM file of that certificate's private key.")
    client_ca_certificate: Path | None = Field(
        default=None,
        description="PEM file of the authority that signs client certificates, for that purpose only; without it an own one.",
    )
    client_ca_key: Path | None = Field(default=None, description="PEM file of that authority's private key.")
    client_cert_from: Annotated[str, AfterValidator(_proxies)] | None = Field(
        default=None,
        description="Addresses and CIDRs, separated by commas, of proxies that end TLS: from them, and from nobody else, the header `Client-Cert` (RFC 9440) counts.",
    )
    kafka_bytes_per_second: int = Field(
        default=10_000_000,
        ge=0,
        le=10_000_000_000,
        description="Bytes a second that each agency's Kafka user may read from each node, given when it is made; 0: without bound.",
    )
    kafka_request_percentage: int = Field(
        default=100,
        ge=0,
        le=100_000,
        description="Percent of one thread of each Kafka node that each agency's user may take; 0: without bound.",
    )
    requests_per_second: float = Field(
        default=100,
        gt=0,
        description="Requests that one organisation may send to one process, with three seconds' worth at once.",
    )
    webhook_allow: Annotated[str, AfterValidator(_exempt)] | None = Field(
        default=None,
        description="Where webhooks may go although it is not the public internet: host names, addresses and CIDRs, "
        "separated by commas; there also over http and to any port.",
    )
    webhook_timeout_s: int = Field(default=15, ge=1, le=60, description="Seconds that one webhook call may take.")
    webhook_give_up_s: int = Field(
        default=86_400,
        ge=1,
        le=1_209_600,
        description="Seconds that a webhook may fail before it is suspended until its agency resumes it.",
    )
    drop_allow: Annotated[str, AfterValidator(_exempt)] | None = Field(
        default=None,
        description="Where files may be dropped although it is not the public internet: host names, addresses and CIDRs, "
        "separated by commas; there also to any port.",
    )
    drop_timeout_s: int = Field(
        default=30, ge=1, le=300, description="Seconds that an SFTP server may take for one step of a drop."
    )
    drop_give_up_s: int = Field(
        default=259_200,
        ge=1,
        le=1_209_600,
        description="Seconds that a drop may fail before it is suspended until its agency resumes it.",
    )
    otlp_endpoint: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        default=None,
        description="Base URL of an OpenTelemetry collector (OTLP over HTTP); without it traces stay in a bounded file of the data directory.",
    )
    span_sample: int = Field(
        default=5, ge=0, le=1000, description="How many records of a batch get spans of their own."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least serious log line that is written."
    )

    @property
    def embedded(self) -> bool:
        """Whether this installation runs its own Kafka node."""
        return self.kafka_bootstrap is None

    @property
    def one_node(self) -> bool:
        """Whether nothing can be replicated."""
        return self.embedded or self.single_node

    @property
    def replication_factor(self) -> int:
        """Copies of every partition that topics are made with."""
        return self.replication or (1 if self.one_node else SAFE_REPLICATION)

    @property
    def min_insync_replicas(self) -> int:
        """Copies that must hold a write before it counts (R7)."""
        return min(self.replication_factor, SAFE_REPLICATION - 1)

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Where the header `Client-Cert` counts from."""
        return tuple(ip_network(each.strip()) for each in (self.client_cert_from or "").split(",") if each)

    @property
    def kafka_quota(self) -> dict[str, float]:
        """What each agency's Kafka user may take, by Kafka's names."""
        stated = {
            "consumer_byte_rate": float(self.kafka_bytes_per_second),
            "request_percentage": float(self.kafka_request_percentage),
        }
        return {name: most for name, most in stated.items() if most}

    def kafka_secret(self) -> SecretStr | None:
        """The Kafka password, read from its file if it lies there; raises `ConfigError`."""
        if self.kafka_password_file is None:
            return self.kafka_password
        secret = _read(self.kafka_password_file, "kafka_password_file").strip("\r\n")
        if not secret or len(secret.splitlines()) != 1:
            raise ConfigError(f"{variable('kafka_password_file')}: expected one line with the password")
        return SecretStr(secret)

    def wall(self) -> SubjectWall:
        """Which persons may be subjects; raises `ConfigError` if the list of admitted numbers cannot be used."""
        if self.admitted_subjects is None:
            return SubjectWall(self.persons)
        try:
            admitted = admitted_subjects(_read(self.admitted_subjects, "admitted_subjects"))
        except Invalid as error:
            raise ConfigError(f"{variable('admitted_subjects')}: {error}") from None
        return SubjectWall(self.persons, admitted)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if lines := list(_contradictions(self)):
            raise ValueError("\n".join(lines))
        return self


def load_settings(environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """Settings of `environ` (default: this process's); what is `given` by field name and not None goes first.

    An empty variable counts as unset. Raises `ConfigError`: each wrong variable and what is expected, never what it holds.
    """
    environ = os.environ if environ is None else environ
    stated: dict[str, Any] = {name: text for name, text in environ.items() if text}
    stated |= {variable(name): value for name, value in given.items() if value is not None}
    try:
        return Settings.model_validate(stated)
    except ValidationError as error:
        lines = [line for wrong in error.errors() for line in _lines(wrong["loc"], wrong["msg"])]
    if len(lines) == 1:
        raise ConfigError(lines[0])
    names = ", ".join(dict.fromkeys(line.partition(":")[0] for line in lines))
    raise ConfigError(f"these settings are wrong: {names}", operator="\n".join(lines))


def variable(field: str) -> str:
    """The environment variable of a field."""
    return f"{PREFIX}{field.upper()}"


def reference() -> str:
    """The environment reference as Markdown, made from the fields themselves."""
    described = Settings.model_json_schema(by_alias=False)["properties"]
    rows = (
        f"| `{variable(name)}` | {_values(described[name])} | {_default(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    )
    return _REFERENCE + "".join(f"{row}\n" for row in rows)


_REFERENCE = """\
# Environment

Made from `broker/settings.py` by `python -m broker.settings`; a test keeps it current. An empty variable counts as unset,
and `KAFKA_BOOTSTRAP` is read where `DATANUTS_KAFKA_BOOTSTRAP` is not set.

| variable | value | default | meaning |
|---|---|---|---|
"""


def _contradictions(held: Settings) -> Iterator[str]:
    """Lines about variables that are each right and together wrong."""
    outside, secret = not held.embedded, held.kafka_password or held.kafka_password_file
    for_outside = "only with another Kafka: the embedded one makes its own"
    unsafe = (
        f"at least {SAFE_REPLICATION}, or records can be lost; a test on one node sets {variable('single_node')}=true"
    )
    rules = (
        (held.persons == "real" and held.admitted_subjects, "admitted_subjects", "only with synthetic persons"),
        (held.kafka_password and held.kafka_password_file, "kafka_password", "nothing, or no password file"),
        (held.embedded and held.kafka_username, "kafka_username", for_outside),
        (
            held.embedded and secret,
            "kafka_password_file" if held.kafka_password_file else "kafka_password",
            for_outside,
        ),
        (held.embedded and held.kafka_ca, "kafka_ca", for_outside),
        (outside and not held.kafka_username, "kafka_username", "the broker's principal on that Kafka"),
        (outside and not secret, "kafka_password_file", "a file with that principal's password"),
        (outside and held.kafka_ca and held.kafka_protocol != "SASL_SSL", "kafka_ca", "nothing without SASL_SSL"),
        (held.tls_certificate and not held.tls_key, "tls_key", "the key of the certificate"),
        (held.tls_key and not held.tls_certificate, "tls_certificate", "the certificate of the key"),
        (held.client_ca_certificate and not held.client_ca_key, "client_ca_key", "the authority's key"),
        (held.client_ca_key and not held.client_ca_certificate, "client_ca_certificate", "the key's authority"),
        (held.one_node and held.replication_factor > 1, "replication", "1, or a Kafka of several nodes"),
        (not held.one_node and held.replication_factor < SAFE_REPLICATION, "replication", unsafe),
    )
    return (f"{variable(name)}: expected {what}" for wrong, name, what in rules if wrong)


def _lines(place: tuple[int | str, ...], message: str) -> list[str]:
    """One line per wrong variable from an error of pydantic's; messages that name variables themselves have no place."""
    stated = message.removeprefix("Value error, ")
    if not place:
        return stated.splitlines()
    expected = stated.removeprefix("Input should be ").partition(", unable")[0]
    return [f"{place[0]}: expected {expected}"]


def _read(path: Path, field: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{variable(field)}: the file cannot be read: {why}") from None


def _values(described: Mapping[str, Any]) -> str:
    """What a variable may hold, from its JSON schema."""
    one = next((kind for kind in described.get("anyOf", ()) if kind.get("type") != "null"), described)
    if one.get("enum"):
        return ", ".join(f"`{choice}`" for choice in one["enum"])
    if "minimum" in one:
        return f"{one['minimum']} to {one['maximum']}"
    if one.get("type") == "boolean":
        return "`true`, `false`"
    return {"path": "path", "password": "secret"}.get(one.get("format", ""), "text")


def _default(value: Any) -> str:
    if value is None:
        return ""
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
