"""Every error the broker raises, in one tree; a base is chosen by what the caller must do.

    BrokerError
    ├── Fatal                     stop this process: going on would break a guarantee
    │   ├── ConfigError           a setting is missing or contradicts another
    │   ├── MissingPrerequisite   a program the installation needs is absent
    │   ├── Fenced                another owner took over this transactional id
    │   ├── PositionLost          a committed position is gone: records may have been missed
    │   └── Stale                 the control log cannot be read to its head: fail closed
    ├── Retriable                 try the same thing again after a pause
    │   ├── KafkaUnavailable      no Kafka node answers
    │   ├── BrokerUnavailable     the HTTP interface does not answer
    │   ├── IssuerUnavailable     an issuer's keys cannot be had: its tokens cannot be checked
    │   ├── TooManyRequests       requests came faster than they are answered
    │   ├── NotYetKnown           a schema or key that should arrive through the control log, or a log still being read
    │   └── Doubt                 a commit's outcome is unknown: re-read the position before going on
    ├── PoisonRecord              quarantine this one record and go on
    ├── Skip                      ignore this one source item, and count it with its reason
    └── Refused                   the caller must change the request
        ├── Invalid               malformed or contradictory input
        │   ├── SchemaRefused     a schema breaks a rule of the lint
        │   ├── AgreementRefused  an agreement breaks a clause
        │   ├── MappingRefused    a mapping does not fit its product's schema
        │   ├── NotAcceptable     the answer exists in other forms only
        │   ├── AddressRefused    a URL that the broker does not call
        │   ├── KeyReused         an idempotency key that came before with another request
        │   └── TooLarge          the request is larger than this place reads
        ├── Unauthenticated       no valid credential
        ├── Forbidden             a valid credential that may not do this
        │   └── NotCertified          an adapter without a valid certificate, where one is needed
        ├── Drifted               a source lacks what it used to have, and its mapping says to stop then
        ├── NotFound              no such thing, or not the caller's
        │   └── UnknownSubject        the source has no record of the subject now
        ├── Conflict              the aggregate moved on: read it again
        │   ├── Outdated          it is no longer the version that the request names
        │   ├── Halted            the owner of the product stopped all its streams: read on when it resumes
        │   └── NotOffered        nothing begins on the product version: it is not live yet, or its sunset is over
        └── PositionExpired       the asked position lies before the retained log
            └── StreamStopped     the stream is over: its agreement was revoked or has ended

A message is for the person who must act and never holds a value of a record. `code` is stable and public;
`operator` says what only the operator may read (it holds no personal data either).
"""

from typing import ClassVar


class BrokerError(Exception):
    """Base of the tree; carries a stable public code, a user text and an operator text."""

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str = "", *, operator: str = "") -> None:
        super().__init__(message or self.code)
        self.operator = operator


class Fatal(BrokerError):
    """Stop this process."""

    code = "FATAL"


class ConfigError(Fatal):
    """A setting is missing or contradicts another."""

    code = "CONFIG"


class MissingPrerequisite(Fatal):
    """A program that the installation needs is absent."""

    code = "MISSING_PREREQUISITE"


class Fenced(Fatal):
    """Another owner took over this transactional id (design R1)."""

    code = "FENCED"


class PositionLost(Fatal):
    """A committed position is gone: records may have been missed (never reset silently)."""

    code = "POSITION_LOST"


class Stale(Fatal):
    """The control log cannot be read to its head (design R6): fail closed."""

    code = "POLICY_STALE"


class Retriable(BrokerError):
    """Try the same thing again after a pause of `after_s` seconds."""

    code = "RETRY"

    def __init__(self, message: str = "", *, operator: str = "", after_s: float = 1) -> None:
        super().__init__(message, operator=operator)
        self.after_s = after_s


class KafkaUnavailable(Retriable):
    """No Kafka node answered in time."""

    code = "KAFKA_UNAVAILABLE"


class BrokerUnavailable(Retriable):
    """The broker's HTTP interface did not answer in time."""

    code = "BROKER_UNAVAILABLE"


class IssuerUnavailable(Retriable):
    """The keys of a trusted issuer are not known here, or too old to go on with: its tokens cannot be checked."""

    code = "ISSUER_UNAVAILABLE"


class TooManyRequests(Retriable):
    """Requests came faster than they are answered: anonymous ones, or those of one organisation."""

    code = "TOO_MANY_REQUESTS"


class NotYetKnown(Retriable):
    """A schema or key that should arrive through the control log or the key store is not here yet, or a log is still being read."""

    code = "NOT_YET_KNOWN"


class Doubt(Retriable):
    """A commit's outcome is unknown (design R2): fence, then re-read the committed position."""

    code = "DOUBT"


class PoisonRecord(BrokerError):
    """One record that must be quarantined; `reason` is a stable code, `path` a schema path, never a value."""

    code = "POISON"

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(f"{reason} at {path}" if path else reason)
        self.reason = reason
        self.path = path


class Skip(BrokerError):
    """One source item that holds nothing to publish; `reason` is a stable code."""

    code = "SKIP"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Refused(BrokerError):
    """The caller must change the request."""

    code = "REFUSED"


class Invalid(Refused):
    """Malformed or contradictory input."""

    code = "INVALID"


class SchemaRefused(Invalid):
    """A schema breaks a rule of the lint; `path` names the field, `rule` the rule."""

    code = "SCHEMA_REFUSED"

    def __init__(self, rule: str, path: str, message: str) -> None:
        super().__init__(f"{path or 'schema'}: {message} [{rule}]")
        self.rule = rule
        self.path = path


class AgreementRefused(Invalid):
    """An agreement breaks a clause; `findings` lists (code, path, clause and what to do)."""

    code = "AGREEMENT_REFUSED"

    def __init__(self, findings: tuple[tuple[str, str, str], ...]) -> None:
        super().__init__("; ".join(f"{path}: {text} [{code}]" for code, path, text in findings))
        self.findings = findings


class MappingRefused(Invalid):
    """A mapping does not fit its product's schema; `findings` lists (line, path, what to do) of `file`."""

    code = "MAPPING_REFUSED"

    def __init__(self, file: str, findings: tuple[tuple[int, str, str], ...]) -> None:
        told = (f"{file}:{line}: {path}{': ' if path else ''}{text}" for line, path, text in findings)
        super().__init__("; ".join(told))
        self.file = file
        self.findings = findings


class AddressRefused(Invalid):
    """A URL that the broker does not call: its form, or where it leads to."""

    code = "ADDRESS_REFUSED"


class KeyReused(Invalid):
    """The idempotency key came before, with another request."""

    code = "IDEMPOTENCY_KEY_REUSED"


class TooLarge(Invalid):
    """The request is larger than this place reads."""

    code = "TOO_LARGE"


class NotAcceptable(Invalid):
    """The answer exists in other forms than the request accepts; the text names them."""

    code = "NOT_ACCEPTABLE"


class Unauthenticated(Refused):
    """No valid credential was presented."""

    code = "UNAUTHENTICATED"


class Forbidden(Refused):
    """The credential is valid but may not do this."""

    code = "FORBIDDEN"


class NotCertified(Forbidden):
    """The adapter may not publish here: it has no valid certificate of the conformance kit."""

    code = "ADAPTER_NOT_CERTIFIED"


class Drifted(Refused):
    """A source lacks what it used to have, or holds codes that nobody mapped, and its mapping says to stop then."""

    code = "SOURCE_DRIFTED"


class NotFound(Refused):
    """No such thing, or not the caller's to see (the two are not told apart)."""

    code = "NOT_FOUND"


class UnknownSubject(NotFound):
    """The source has no record of the subject now."""

    code = "UNKNOWN_SUBJECT"


class Conflict(Refused):
    """The aggregate moved on since it was read."""

    code = "CONFLICT"


class Outdated(Conflict):
    """The request names a version (If-Match) that is no longer the current one."""

    code = "OUTDATED"


class Halted(Conflict):
    """The owner of the product stopped all its streams for now."""

    code = "PRODUCT_HALTED"


class NotOffered(Conflict):
    """Nothing begins on the product version: it is not live yet, or its sunset is over."""

    code = "PRODUCT_NOT_OFFERED"


class PositionExpired(Refused):
    """The asked position lies before the retained log."""

    code = "POSITION_EXPIRED"


class StreamStopped(PositionExpired):
    """The stream is over: its agreement was revoked or has ended, and its topic was emptied."""

    code = "STREAM_STOPPED"
