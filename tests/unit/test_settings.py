"""Settings: what is taken from the environment, what is refused, and that no refusal repeats a value."""

from pathlib import Path

import pytest

from broker.errors import ConfigError
from broker.policy.odrl_terms import BASE
from broker.settings import Settings, load_settings, reference, variable

OUTSIDE = {
    "KAFKA_BOOTSTRAP": "kafka-1:9092,kafka-2:9092",
    "DATANUTS_KAFKA_USERNAME": "broker",
    "DATANUTS_KAFKA_PASSWORD": "canary-geheim",
}
SAMPLE, OTHER = "85073003328", "85073000000"


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as refused:
        load_settings(environ)
    return f"{refused.value}\n{refused.value.operator}"


def test_nothing_is_needed_for_an_embedded_synthetic_installation() -> None:
    held = load_settings({})
    assert held.embedded
    assert (held.replication_factor, held.min_insync_replicas, held.lanes) == (1, 1, 8)
    assert held.wall().verdict(SAMPLE) == "REAL_SUBJECT"


@pytest.mark.parametrize("name", ["KAFKA_BOOTSTRAP", "DATANUTS_KAFKA_BOOTSTRAP"])
def test_an_outside_kafka_is_replicated_unless_it_says_it_is_one_node(name: str) -> None:
    outside = {name: OUTSIDE["KAFKA_BOOTSTRAP"]} | {key: OUTSIDE[key] for key in OUTSIDE if key != "KAFKA_BOOTSTRAP"}
    held = load_settings(outside)
    assert held.kafka_bootstrap == OUTSIDE["KAFKA_BOOTSTRAP"]
    assert (held.replication_factor, held.min_insync_replicas, held.kafka_protocol) == (3, 2, "SASL_SSL")
    alone = load_settings(outside | {"DATANUTS_SINGLE_NODE": "true"})
    assert (alone.replication_factor, alone.min_insync_replicas) == (1, 1)


def test_our_own_name_goes_before_the_plain_one_and_what_is_given_before_both() -> None:
    environ = OUTSIDE | {"DATANUTS_KAFKA_BOOTSTRAP": "own:9092"}
    assert load_settings(environ).kafka_bootstrap == "own:9092"
    assert load_settings(environ, kafka_bootstrap="given:9092").kafka_bootstrap == "given:9092"


def test_an_empty_variable_is_unset() -> None:
    assert load_settings(dict.fromkeys(map(variable, Settings.model_fields), "")) == load_settings({})


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"DATANUTS_LANES": "canary"}, "DATANUTS_LANES"),
        ({"DATANUTS_LANES": "257"}, "DATANUTS_LANES"),
        ({"DATANUTS_LANES": "0"}, "DATANUTS_LANES"),
        ({"DATANUTS_PERSONS": "canary"}, "DATANUTS_PERSONS"),
        ({"DATANUTS_LOG_LEVEL": "canary"}, "DATANUTS_LOG_LEVEL"),
        ({"DATANUTS_TLS_KEY": "canary.key"}, "DATANUTS_TLS_CERTIFICATE"),
        ({"DATANUTS_TLS_CERTIFICATE": "canary.pem"}, "DATANUTS_TLS_KEY"),
        ({"DATANUTS_CLIENT_CA_KEY": "canary.key"}, "DATANUTS_CLIENT_CA_CERTIFICATE"),
        ({"DATANUTS_CLIENT_CA_CERTIFICATE": "canary.pem"}, "DATANUTS_CLIENT_CA_KEY"),
        ({"DATANUTS_CLIENT_CERT_FROM": "canary.example"}, "DATANUTS_CLIENT_CERT_FROM"),
        ({"DATANUTS_CLIENT_CERT_FROM": "10.0.0.1/8"}, "DATANUTS_CLIENT_CERT_FROM"),
        ({"DATANUTS_KAFKA_BYTES_PER_SECOND": "-1"}, "DATANUTS_KAFKA_BYTES_PER_SECOND"),
        ({"DATANUTS_SINGLE_NODE": "canary"}, "DATANUTS_SINGLE_NODE"),
        ({"DATANUTS_OTLP_ENDPOINT": "http://user:canary@collector:4318"}, "DATANUTS_OTLP_ENDPOINT"),
        ({"DATANUTS_OTLP_ENDPOINT": "file:///canary"}, "DATANUTS_OTLP_ENDPOINT"),
        (OUTSIDE | {"KAFKA_BOOTSTRAP": "canary"}, "KAFKA_BOOTSTRAP"),
        (OUTSIDE | {"KAFKA_BOOTSTRAP": "sasl://u:canary@host:9092"}, "KAFKA_BOOTSTRAP"),
        (OUTSIDE | {"DATANUTS_KAFKA_USERNAME": ""}, "DATANUTS_KAFKA_USERNAME"),
        (OUTSIDE | {"DATANUTS_KAFKA_PASSWORD": ""}, "DATANUTS_KAFKA_PASSWORD_FILE"),
        (OUTSIDE | {"DATANUTS_KAFKA_PASSWORD_FILE": "/run/secrets/canary"}, "DATANUTS_KAFKA_PASSWORD"),
        (OUTSIDE | {"DATANUTS_KAFKA_PROTOCOL": "PLAINTEXT"}, "DATANUTS_KAFKA_PROTOCOL"),
        (OUTSIDE | {"DATANUTS_KAFKA_PROTOCOL": "SASL_PLAINTEXT", "DATANUTS_KAFKA_CA": "/canary"}, "DATANUTS_KAFKA_CA"),
        (OUTSIDE | {"DATANUTS_REPLICATION": "2"}, "DATANUTS_REPLICATION"),
        (OUTSIDE | {"DATANUTS_REPLICATION": "3", "DATANUTS_SINGLE_NODE": "1"}, "DATANUTS_REPLICATION"),
        ({"DATANUTS_REPLICATION": "3"}, "DATANUTS_REPLICATION"),
        ({"DATANUTS_KAFKA_USERNAME": "canary"}, "DATANUTS_KAFKA_USERNAME"),
        ({"DATANUTS_KAFKA_PASSWORD": "canary"}, "DATANUTS_KAFKA_PASSWORD"),
        ({"DATANUTS_PERSONS": "real", "DATANUTS_ADMITTED_SUBJECTS": "/canary"}, "DATANUTS_ADMITTED_SUBJECTS"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not(environ: dict[str, str], named: str) -> None:
    told = refusal(environ)
    assert told.startswith(f"{named}: expected ")
    assert "canary" not in told


def test_every_wrong_setting_gets_its_line() -> None:
    told = refusal({"DATANUTS_LANES": "canary", "KAFKA_BOOTSTRAP": "canary", "DATANUTS_PERSONS": "canary"})
    first, *lines = told.splitlines()
    assert {line.partition(":")[0] for line in lines} == {"DATANUTS_LANES", "KAFKA_BOOTSTRAP", "DATANUTS_PERSONS"}
    assert all(line.partition(":")[0] in first for line in lines)
    assert "canary" not in told


def test_secrets_do_not_show() -> None:
    held = load_settings(OUTSIDE)
    secret = held.kafka_secret()
    assert "canary" not in f"{held!r} {held} {held.model_dump_json()}"
    assert secret is not None
    assert secret.get_secret_value() == "canary-geheim"


def test_the_password_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    held = load_settings(OUTSIDE | {"DATANUTS_KAFKA_PASSWORD": ""}, kafka_password_file=file)
    with pytest.raises(ConfigError, match=r"DATANUTS_KAFKA_PASSWORD_FILE: .*cannot be read"):
        held.kafka_secret()
    file.write_text("geheim uit bestand\n")
    secret = held.kafka_secret()
    assert secret is not None
    assert secret.get_secret_value() == "geheim uit bestand"
    for damaged in ("", "\n", "canary\ncanary\n"):
        file.write_text(damaged)
        with pytest.raises(ConfigError, match="expected one line") as refused:
            held.kafka_secret()
        assert "canary" not in str(refused.value)


def test_a_list_of_admitted_subjects_opens_a_synthetic_installation_for_these_only(tmp_path: Path) -> None:
    file = tmp_path / "admitted"
    file.write_text(f"{SAMPLE}  # published sample\n")
    wall = load_settings({}, admitted_subjects=file).wall()
    assert (wall.verdict(SAMPLE), wall.verdict(OTHER)) == (None, "REAL_SUBJECT")


def test_an_unusable_list_of_admitted_subjects_is_refused_without_its_text(tmp_path: Path) -> None:
    file = tmp_path / "admitted"
    held = load_settings({}, admitted_subjects=file)
    with pytest.raises(ConfigError, match="DATANUTS_ADMITTED_SUBJECTS"):
        held.wall()
    file.write_text("12345678901\n")
    with pytest.raises(ConfigError, match="DATANUTS_ADMITTED_SUBJECTS: line 1") as refused:
        held.wall()
    assert "12345678901" not in str(refused.value)


def test_a_real_installation_refuses_test_numbers() -> None:
    assert load_settings({"DATANUTS_PERSONS": "real"}).wall().verdict("85673000000") == "TEST_SUBJECT"


def test_every_setting_is_in_the_reference_with_a_meaning() -> None:
    lines = {line.split("`")[1]: line for line in reference().splitlines() if line.startswith("| `")}
    assert list(lines) == [variable(name) for name in Settings.model_fields]
    assert all(len(line.split("|")[4].strip()) > 10 for line in lines.values())


def test_own_iris_begin_with_a_urn_or_a_url() -> None:
    assert load_settings({}).iri_base == BASE
    for base in ("urn:overheid-x:", "https://protocollen.example/", "https://protocollen.example:8443/id/"):
        assert load_settings({"DATANUTS_IRI_BASE": base}).iri_base == base
    for base in (
        "http://protocollen.example/",
        "https://protocollen.example",
        "https://a.example/?x=",
        "canary",
        "urn:x",
    ):
        assert "DATANUTS_IRI_BASE: expected a URN" in refusal({"DATANUTS_IRI_BASE": base})


def test_proxies_and_quotas_are_read_from_their_texts() -> None:
    assert load_settings({}).proxies == ()
    held = load_settings({"DATANUTS_CLIENT_CERT_FROM": "10.1.2.3, fd00::/8", "DATANUTS_KAFKA_REQUEST_PERCENTAGE": "0"})
    assert [str(each) for each in held.proxies] == ["10.1.2.3/32", "fd00::/8"]
    assert held.kafka_quota == {"consumer_byte_rate": 10_000_000.0}
    assert load_settings({}).kafka_quota == {"consumer_byte_rate": 10_000_000.0, "request_percentage": 100.0}
