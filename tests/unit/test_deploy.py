"""deploy/: what an operator starts from fits the settings, holds no secret, and is what the tools accept."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from broker.cli.main import parser
from broker.kafka.node_files import SUPER_USER, Identity, _server
from broker.settings import PREFIX, Settings, load_settings, reference, variable

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
SETTINGS = {variable(name) for name in Settings.model_fields}
IMAGE_SETTINGS = dict(re.findall(rf"({PREFIX}[A-Z_]+)=(\S+)", CONTAINERFILE))


def test_the_environment_reference_is_current() -> None:
    assert (DEPLOY / "environment.md").read_text() == reference(), (
        "run: python -m broker.settings > deploy/environment.md"
    )


def test_the_image_and_the_services_set_only_what_the_broker_reads() -> None:
    assert set(OURS) == {"api", "router", "webhooks", "drops"}
    stated = IMAGE_SETTINGS.keys() | {name for service in OURS.values() for name in service["environment"]}
    assert stated <= SETTINGS


@pytest.mark.parametrize("name", OURS)
def test_a_services_settings_are_accepted_as_a_whole(name: str) -> None:
    held = load_settings(IMAGE_SETTINGS | OURS[name]["environment"])
    assert (held.single_node, held.replication_factor, held.kafka_username) == (True, 1, SUPER_USER)
    mounted = OURS[name]["volumes"][0].partition(":")[2]
    assert str(held.data_dir) == mounted == "/var/lib/datanuts"
    assert str(held.kafka_password_file) == f"/run/secrets/{OURS[name]['secrets'][0]}"


def test_the_api_is_published_on_loopback_and_listens_on_the_published_port() -> None:
    (published,) = SERVICES["api"]["ports"]
    assert published == f"127.0.0.1:8080:{IMAGE_SETTINGS['DATANUTS_API_PORT']}"
    assert IMAGE_SETTINGS["DATANUTS_API_HOST"] == "0.0.0.0"  # noqa: S104 - inside its container
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["api"]
    assert COMPOSE["networks"]["inner"] == {"internal": True}
    outgoing = {"api", "webhooks", "drops"}  # these call agencies' servers
    assert all(service["networks"] == ["inner"] for name, service in SERVICES.items() if name not in outgoing)


def test_the_commands_exist() -> None:
    words = [
        *(service["command"] for service in OURS.values()),
        re.findall(r'^CMD \["(\w+)"\]', CONTAINERFILE, re.MULTILINE),
    ]
    for command in words:
        assert callable(parser().parse_args(command).run)


def test_no_secret_lies_in_a_file() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|KEY", name):
                assert name.endswith("_FILE"), name
                assert value.removeprefix("/run/secrets/") in service["secrets"]
    for secret in COMPOSE["secrets"].values():
        assert secret["file"].startswith("./secrets/")
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"  # nothing goes to the builder unless it is named
    assert not re.search("(?i)password|secret|token", CONTAINERFILE)


def test_our_containers_may_do_little() -> None:
    for service in OURS.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.search(r"^USER [1-9][0-9]*$", CONTAINERFILE, re.MULTILINE)


def test_images_have_a_version() -> None:
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    images += re.findall(r"^FROM (\S+)", CONTAINERFILE, re.MULTILINE)
    assert len(images) == 4
    assert all(re.search(r":\d+\.\d+", image) for image in images)
    (pinned,) = re.findall(
        r"<artifactId>kafka_2.13</artifactId>\s*<version>([^<]+)", (ROOT / "broker/kafka/pom.xml").read_text()
    )
    assert SERVICES["kafka"]["image"].endswith(f":{pinned}")


def test_the_builder_gets_everything_it_copies() -> None:
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE) for name in line.split()
    }
    admitted = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    assert copied == admitted
    assert all((ROOT / name).exists() for name in copied)


def test_the_node_of_the_compose_file_has_the_settings_of_the_embedded_one() -> None:
    lines = (DEPLOY / "kafka" / "server.properties").read_text().splitlines()
    stated = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    embedded = {name: str(value) for name, value in _server(Path("/x"), Identity("c", "p", "q", 1, 2)).items()}
    addresses = {"controller.quorum.voters", "listeners", "advertised.listeners"}
    added = {name for name in embedded if name == "log.dirs" or name.endswith("jaas.config")}
    assert stated.keys() == embedded.keys() - added
    assert {name for name in stated if stated[name] != embedded[name]} == addresses
    script = (DEPLOY / "kafka" / "start.sh").read_text()
    assert all(f"{name}=" in script for name in added)
    assert stated["advertised.listeners"] == f"CLIENTS://{OURS['api']['environment']['DATANUTS_KAFKA_BOOTSTRAP']}"


def test_the_start_script_is_a_shell_script() -> None:
    subprocess.run(["/bin/sh", "-n", DEPLOY / "kafka" / "start.sh"], check=True)


def test_hadolint_finds_nothing() -> None:
    tool = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([tool, "--no-color", DEPLOY / "Containerfile"], check=False, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_docker_compose_accepts_the_file() -> None:
    tool = shutil.which("docker-compose")
    if tool is None:
        pytest.skip("docker-compose is not installed: deploy/compose.yaml was only checked as YAML")
    found = subprocess.run(
        [tool, "--file", DEPLOY / "compose.yaml", "config", "--quiet"], check=False, capture_output=True, text=True
    )
    assert (found.returncode, found.stderr) == (0, "")
