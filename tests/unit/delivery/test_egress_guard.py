"""No URL in `urls.tsv` that leads inside passes, nor any other spelling of a private address; a name cannot change its mind."""

import asyncio
import ssl
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.delivery import egress_guard
from broker.delivery.checked_transport import CheckedTransport
from broker.delivery.egress_guard import AllowList, EgressGuard, SystemResolver
from broker.errors import AddressRefused, ConfigError

STANDS_FOR = {
    "<tab>": "\t", "<cr>": "\r", "<lf>": "\n", "<nul>": "\0", "<rlo>": "\u202e", "<shy>": "\u00ad", "<zwsp>": "\u200b",
}  # fmt: skip
PRIVATE = [
    ip_network(text)
    for text in ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
]
OUTSIDE = "93.184.216.34"


def table() -> list[tuple[str, str, list[str], str]]:
    lines = (Path(__file__).with_name("urls.tsv")).read_text(encoding="utf-8").splitlines()
    rows = [[*line.split("\t"), "", "", ""] for line in lines if not line.startswith("#")]
    return [(row[0], row[1], [each for each in row[2].split(",") if each], row[3]) for row in rows]


def guard(addresses: Sequence[str] = (), allow: str = "") -> EgressGuard:
    async def resolve(_host: str) -> Sequence[str]:
        return addresses

    return EgressGuard(AllowList.parse(allow), resolve)


async def called(url: str, addresses: Sequence[str] = (OUTSIDE,), allow: str = "") -> tuple[str, ...]:
    """Where a call of the URL would connect to."""
    looked_at = guard(addresses, allow)
    return await looked_at.addresses(looked_at.target(url))


def test_the_table_is_as_long_as_was_asked() -> None:
    assert len({tuple(map(str, row)) for row in table()}) == len(table()) >= 250


@pytest.mark.parametrize("row", table(), ids=lambda row: f"{row[0]} {row[1][:60]!a} {','.join(row[2])} {row[3]}")
async def test_every_url_of_the_table_gets_its_verdict(row: tuple[str, str, list[str], str]) -> None:
    verdict, url, addresses, allow = row
    for name, character in STANDS_FOR.items():
        url = url.replace(name, character)
    if verdict == "passes":
        assert await called(url, addresses, allow)
        spelled = guard(allow=allow).target(url)
        sent = httpx.URL(spelled.url)
        assert (sent.scheme, sent.raw_host.decode(), sent.port or {"https": 443, "http": 80}[sent.scheme]) == (
            spelled.scheme, spelled.host.strip("[]"), spelled.port,
        ), "what is sent is not what was looked at"  # fmt: skip
        assert (sent.userinfo, sent.fragment) == (b"", "")
    else:
        with pytest.raises(AddressRefused) as refused:
            await called(url, addresses, allow)
        assert "10.0.0.1" not in str(refused.value), "a refusal tells what is inside"


async def test_a_name_without_addresses_is_not_called() -> None:
    with pytest.raises(OSError, match="no address"):
        await called("https://hook.gent.be/", [])


@pytest.mark.parametrize(
    "text", ["10.0.0.1/8", "http://x", "a b", "x:80", "*.gent.be", "hook..be", "fe80::1%eth0", "-"]
)
def test_an_allow_list_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        AllowList.parse(f"127.0.0.1,{text}")


private_v4 = st.sampled_from(PRIVATE).flatmap(
    lambda network: st.integers(int(network.network_address), int(network.broadcast_address)).map(IPv4Address)
)


def spellings(inside: IPv4Address) -> st.SearchStrategy[str]:
    """Hosts that some parser or network takes for the address."""
    number, parts = int(inside), inside.packed
    octets = st.tuples(*(st.sampled_from([str(part), f"0{part:o}", hex(part), f"{part:03d}"]) for part in parts))
    carried = [
        IPv6Address(number), IPv6Address(0xFFFF << 32 | number), IPv6Address(0x64FF9B << 96 | number),
        IPv6Address(0x2002 << 112 | number << 80 | 1), IPv6Address(0xFFFF << 48 | number),
        IPv6Address(0x2A02 << 112 | 0x5EFE << 32 | number),
    ]  # fmt: skip
    return st.one_of(
        st.sampled_from([str(inside), str(number), hex(number), f"0{number:o}", hex(number).upper(), f"{inside}."]),
        st.sampled_from([f"{parts[0]}.{number & 0xFFFFFF}", f"{parts[0]}.{parts[1]}.{number & 0xFFFF}"]),
        octets.map(".".join),
        st.sampled_from([f"[{address}]" for address in carried] + [f"[::ffff:{inside}]", f"[::{inside}]"]),
        st.sampled_from(
            [f"user@{inside}", f"hook.gent.be@{inside}", "".join(chr(ord(c) + 0xFEE0) for c in str(inside))]
        ),
    )


@given(
    host=private_v4.flatmap(spellings), port=st.sampled_from(["", ":443", ":8443"]), path=st.sampled_from(["", "/a"])
)
def test_no_spelling_of_a_private_address_passes(host: str, port: str, path: str) -> None:
    with pytest.raises(AddressRefused):
        asyncio.run(called(f"https://{host}{port}{path}"))


@given(
    inside=private_v4, form=st.sampled_from(["{}", "::ffff:{}", "64:ff9b::{}", "::{}", "2a02:1800::5efe:{}"]),
    among=st.lists(st.just(OUTSIDE), max_size=3), place=st.integers(0, 3),
)  # fmt: skip
def test_no_name_passes_that_leads_to_a_private_address_too(
    inside: IPv4Address, form: str, among: list[str], place: int
) -> None:
    among.insert(place, form.format(inside))
    with pytest.raises(AddressRefused):
        asyncio.run(called("https://hook.gent.be/", among))


@given(st.text(max_size=60))
def test_any_text_passes_or_is_refused_and_what_passes_is_spelled_in_one_way(text: str) -> None:
    for url in (text, f"https://{text}", f"https://hook.gent.be/{text}"):
        try:
            spelled = guard().target(url).url
        except AddressRefused:
            continue
        assert guard().target(spelled).url == spelled
        assert spelled.isascii()


async def test_a_name_that_changes_its_mind_is_called_where_it_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    connected: list[str] = []

    async def resolve(_host: str) -> Sequence[str]:
        return next(answers)

    async def inner(_self: object, request: httpx.Request) -> httpx.Response:
        connected.append(request.url.host)
        assert request.headers["host"] == "hook.gent.be:8443"
        assert request.extensions["sni_hostname"] == "hook.gent.be"
        return httpx.Response(204)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", inner)
    transport = CheckedTransport(EgressGuard(AllowList.parse("127.0.0.1"), resolve), ssl.create_default_context())
    request = httpx.Request("POST", "https://hook.gent.be:8443/in")
    assert (await transport.handle_async_request(request)).status_code == 204
    with pytest.raises(AddressRefused):
        await transport.handle_async_request(request)
    assert connected == ["127.0.0.1"], "a name was resolved twice for one call"
    await transport.aclose()


async def test_a_name_that_answers_slowly_holds_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go_on = [], asyncio.Event()
    loop = asyncio.get_running_loop()

    def look_up(host: str) -> list[str]:
        asked.append(host)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        return [OUTSIDE]

    monkeypatch.setattr(egress_guard, "_look_up", look_up)
    resolver = SystemResolver()
    tries = [asyncio.create_task(resolver("slow.gent.be")) for _ in range(5)]
    await asyncio.sleep(0)
    tries[0].cancel()
    go_on.set()
    assert await asyncio.gather(*tries[1:]) == [[OUTSIDE]] * 4
    assert asked == ["slow.gent.be"]
    resolver.close()


@pytest.mark.parametrize(
    ("host", "port", "named"),
    [("10.0.0.1", 22, "host"), ("[::1]", 22, "host"), ("localhost", 22, "host"), ("sftp", 22, "host"), ("a.be", 25, "port"),
     ("a.be", 443, "port"), ("a.be:22", 22, "host"), ("u@a.be", 22, "host"), ("a.be/", 22, "host"), ("0x7f.1", 22, "host")],
)  # fmt: skip
def test_an_ssh_server_is_refused_like_a_url_and_the_refusal_names_what_is_wrong(
    host: str, port: int, named: str
) -> None:
    with pytest.raises(AddressRefused, match=f"^{named}: "):
        guard().place(host, port)


def test_an_ssh_server_on_the_public_internet_or_in_the_allow_list_passes() -> None:
    assert guard().place("SFTP.Gent.be", 2222).url == "sftp://sftp.gent.be:2222"
    assert guard(allow="10.0.0.0/8").place("10.0.0.1", 5022).port == 5022
