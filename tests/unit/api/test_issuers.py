"""Trusted issuers as a reviewed file, and how the claims of ACM/IDM name an organisation and its roles."""

from typing import Any

import pytest

from broker.api.identity.issuers import ByAcmIdm, ByClient, Standing, issuers
from broker.errors import Forbidden, Invalid
from broker.model.control_state import ControlState
from broker.model.registered import Organisation

FILE = """
issuers:
  - name: keycloak
    issuer: https://idp.example/realms/broker
    audience: https://datanuts.example
    algorithm: ES256
  - name: acm-idm
    issuer: https://acm.example/op
    audience: https://datanuts.example
    algorithm: RS256
    longest_seconds: 600
    acm_idm:
      claim: datanuts_rol_3d
      clients: [portaal]
      rights: {DatanutsAfnemer: agency, DatanutsBron: source-owner, DatanutsDpo: dpo}
"""
STATE = ControlState(
    organisations={
        "stad-gent": Organisation("stad-gent", "Stad Gent", kbo="0207451227"),
        "abb": Organisation("abb", "ABB", ovo="OVO001835"),
        "een": Organisation("een", "Een", kbo="0400000001"),
        "twee": Organisation("twee", "Twee", kbo="0400000001"),
    }
)
GENT = {"vo_doelgroepcode": "LB", "vo_orgcode": "0207451227", "datanuts_rol_3d": ["DatanutsAfnemer:0207451227"]}
ABB = {"vo_doelgroepcode": "GID", "vo_orgcode": "OVO001835", "datanuts_rol_3d": "DatanutsBron:OVO001835"}


def acm_idm(client: str = "portaal", **claims: Any) -> Standing:
    (_, found) = issuers(FILE)
    return found.mapping.standing(found.url, client, claims, STATE)


def test_the_file_names_issuers_with_one_algorithm_each() -> None:
    first, second = issuers(FILE)
    assert (first.algorithm, first.longest_s, first.mapping) == ("ES256", 3600, ByClient())
    assert (second.url, second.longest_s) == ("https://acm.example/op", 600)
    assert isinstance(second.mapping, ByAcmIdm)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("ES256", "HS256", "issuers.0.algorithm"),
        ("ES256", "none", "issuers.0.algorithm"),
        ("ES256", "[ES256, RS256]", "issuers.0.algorithm"),
        ("https://idp.example", "http://idp.example", "issuers.0.issuer"),
        ("https://idp.example", "https://u:p@idp.example", "issuers.0.issuer"),
        ("/realms/broker", "/realms/broker?x=1", "issuers.0.issuer"),
        ("name: acm-idm", "name: keycloak", "the same name"),
        ("https://acm.example/op", "https://idp.example/realms/broker", "the same issuer"),
        ("DatanutsDpo: dpo", "DatanutsDpo: operator", "acm_idm"),
        ("DatanutsDpo: dpo", "DatanutsDpo: supervisor", "acm_idm"),
        ("DatanutsDpo: dpo", "DatanutsDpo: citizen", "acm_idm"),
        ("longest_seconds: 600", "longest_seconds: 600000", "longest_seconds"),
        ("longest_seconds: 600", "secret: x", "secret"),
    ],
)
def test_a_file_that_trusts_too_much_is_refused_by_place(old: str, new: str, named: str) -> None:
    assert old in FILE
    with pytest.raises(Invalid, match=named):
        issuers(FILE.replace(old, new))


def test_an_issuer_on_this_machine_may_be_plain() -> None:
    assert issuers(FILE.replace("https://idp.example", "http://127.0.0.1:39880"))[0].url.startswith("http://127.0.0.1")


def test_a_person_acts_for_the_organisation_signed_in_for_with_the_rights_held_there() -> None:
    assert acm_idm(**GENT) == Standing("stad-gent", frozenset({"agency"}))
    assert acm_idm(**ABB) == Standing("abb", frozenset({"source-owner"}))
    both = {**GENT, "datanuts_rol_3d": ["DatanutsAfnemer:0207451227", "DatanutsDpo:0207451227", "Anders:0207451227"]}
    assert acm_idm(**both).roles == {"agency", "dpo"}


@pytest.mark.parametrize(
    "changed",
    [
        {"datanuts_rol_3d": ["DatanutsAfnemer:OVO001835"]},
        {"datanuts_rol_3d": ["Anders:0207451227"]},
        {"datanuts_rol_3d": ["DatanutsAfnemer"]},
        {"datanuts_rol_3d": ["0207451227:DatanutsAfnemer"]},
        {"datanuts_rol_3d": None},
        {"datanuts_rol_3d": {"DatanutsAfnemer": "0207451227"}},
        {"datanuts_rol_3d": [["DatanutsAfnemer:0207451227"]]},
        {"vo_doelgroepcode": "BUR"},
        {"vo_doelgroepcode": "EA"},
        {"vo_doelgroepcode": "GID"},
        {"vo_doelgroepcode": ["LB"]},
        {"vo_orgcode": "0000000000", "datanuts_rol_3d": ["DatanutsAfnemer:0000000000"]},
        {"vo_orgcode": "0400000001", "datanuts_rol_3d": ["DatanutsAfnemer:0400000001"]},
        {"vo_orgcode": None},
        {"vo_orgcode": "", "datanuts_rol_3d": ["DatanutsAfnemer:"]},
        {"client": "elders"},
    ],
)
def test_nobody_acts_by_another_organisations_right_nor_through_another_application(changed: dict[str, Any]) -> None:
    with pytest.raises(Forbidden):
        acm_idm(**{**GENT, **changed})
