"""`datanuts up` as an OpenID Connect client meets it: discovery, a token, the agency's own agreements, a rotated key."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import jwt
import pytest

from tests.stage import Stage, installation

pytestmark = pytest.mark.timeout(240)
AGENCY = "statistiek-vlaanderen"


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """An installation of one lane, without routers."""
    async with installation(tmp_path_factory.mktemp("issuer"), lanes=1) as made:
        yield made


async def test_a_credential_becomes_a_token_that_reaches_its_own_agreements_until_it_is_dropped(stage: Stage) -> None:
    agreement = await stage.agreement(AGENCY)
    home, url = stage.stack.home, stage.stack.connection.api
    own, operator = home.credential_of(AGENCY), home.credential_of("operator")
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
        found = (await http.get("/.well-known/openid-configuration")).json()
        assert found["issuer"] == url

        async def token() -> str:
            form = {"grant_type": "client_credentials"}
            granted = await http.post(found["token_endpoint"], data=form, auth=(own.organisation, own.token))
            return str(granted.json()["access_token"])

        async def listed(text: str) -> httpx.Response:
            return await http.get("/v1/agreements", headers={"Authorization": f"Bearer {text}"})

        held = await token()
        keys = jwt.PyJWKSet.from_dict((await http.get(found["jwks_uri"])).json())
        key = keys[jwt.get_unverified_header(held)["kid"]].key
        assert jwt.decode(held, key, ["EdDSA"], audience=url, issuer=url)["client_id"] == AGENCY
        assert [item["id"] for item in (await listed(held)).json()["items"]] == [agreement]

        rotate = {"Authorization": f"Bearer {operator.token}"}
        assert (await http.post("/v1/issuer/rotate?keep=false", headers=rotate)).json()["key"] == 2
        assert [(await listed(each)).status_code for each in (held, await token())] == [401, 200]
    assert _at_rest(home.root, held) == []


def _at_rest(root: Path, token: str) -> list[Path]:
    """Files of the installation that hold the token."""
    files = (path for path in root.rglob("*") if path.is_file())
    return [path for path in files if token.encode() in path.read_bytes()]
