"""Host keys have one spelling, weak and unknown kinds are refused, and the broker's own key is its seed's."""

import asyncssh
import pytest

from broker.errors import Invalid
from broker.model import ssh_keys


def line(kind: str, **given: int) -> str:
    return asyncssh.generate_private_key(kind, **given).export_public_key().decode().strip()


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_a_comment_and_blanks_are_no_part_of_a_host_key(kind: str) -> None:
    plain = line(kind)
    assert ssh_keys.host_key(f" {plain}  root@sftp.gent.be\n") == plain


@pytest.mark.parametrize(
    "stated",
    ["", "x", "ssh-ed25519", "ssh-ed25519 AAAA", "sftp.gent.be " + line("ssh-ed25519"), "ssh-ed25519 é", line("ssh-ed448"),
     line("ssh-ed25519").replace("ssh-ed25519", "ssh-rsa"), line("ssh-ed25519") + "\n" + line("ssh-ed25519")],
    ids=["empty", "word", "kind alone", "no key", "with a host", "not ascii", "kind unknown", "kind of another", "two"],
)  # fmt: skip
def test_what_is_no_host_key_is_refused(stated: str) -> None:
    with pytest.raises(Invalid, match="hostKey"):
        ssh_keys.host_key(stated)


def test_a_short_rsa_key_is_refused() -> None:
    with pytest.raises(Invalid, match="2048"):
        ssh_keys.host_key(line("ssh-rsa", key_size=1024))


def test_the_public_line_is_of_the_key_that_logs_in() -> None:
    seed = bytes(range(32))
    shown = ssh_keys.public_line(seed, "datanuts-stad-gent")
    assert shown.split()[:2] == ssh_keys.private_key(seed).export_public_key().decode().split()[:2]
    assert shown.endswith(" datanuts-stad-gent")
