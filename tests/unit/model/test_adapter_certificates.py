"""A certificate is two organisations' word for one package and product, for twelve months, unless it is withdrawn."""

from datetime import UTC, datetime, timedelta

from broker.model.adapter_certificates import Binding, CertificateBook, Standing, a_year_after
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
REPORT = {
    "adapter": "wegen",
    "module": "theirs.roads",
    "package": "sha256:ab",
    "source": "stad-gent",
    "product": "hinder.v1",
}
BINDING = Binding.of(REPORT)


def certified(identifier: str = "c1") -> CertificateBook:
    book = CertificateBook()
    assert book.certify({"id": identifier, "report": REPORT}, "stad-gent", NOW)
    return book


def test_it_takes_two_organisations() -> None:
    book = CertificateBook()
    assert not book.certify({"id": "c1", "report": REPORT}, "operator", NOW)
    book = certified()
    assert book.standing(BINDING, NOW) is Standing.PENDING
    assert not book.countersign({"id": "c1"}, "stad-gent", NOW)
    assert not book.countersign({"id": "c2"}, "operator", NOW)
    assert book.countersign({"id": "c1"}, "operator", NOW)
    assert not book.countersign({"id": "c1"}, "operator", NOW)
    assert not book.certify({"id": "c1", "report": REPORT}, "stad-gent", NOW)
    assert book.standing(BINDING, NOW) is Standing.VALID


def test_it_is_about_one_package_module_source_and_product() -> None:
    book = certified()
    book.countersign({"id": "c1"}, "operator", NOW)
    for changed in ("module", "package", "source", "product"):
        assert book.standing(Binding.of(REPORT | {changed: "ander"}), NOW) is Standing.NONE


def test_it_is_over_after_twelve_months_or_when_it_is_withdrawn() -> None:
    book = certified()
    book.countersign({"id": "c1"}, "operator", NOW)
    end = datetime(2027, 11, 26, 12, tzinfo=UTC)
    assert book.standing(BINDING, end - timedelta(seconds=1)) is Standing.VALID
    assert book.standing(BINDING, end) is Standing.EXPIRED
    assert book.withdraw({"id": "c1", "why": "lek"}, "operator", NOW)
    assert not book.withdraw({"id": "c1"}, "operator", NOW)
    assert book.standing(BINDING, NOW) is Standing.WITHDRAWN
    assert not book.countersign({"id": "c1"}, "operator", NOW)
    assert book.certify({"id": "c2", "report": REPORT}, "stad-gent", NOW)
    assert book.standing(BINDING, NOW) is Standing.PENDING
    assert book.countersign({"id": "c2"}, "operator", NOW)
    assert book.standing(BINDING, NOW) is Standing.VALID
    assert a_year_after(datetime(2028, 2, 29, tzinfo=UTC)) == datetime(2029, 2, 28, tzinfo=UTC)


def test_all_readers_pass_over_what_is_no_report_and_no_decision_changes() -> None:
    state = ControlState()
    wrong = Fact("f1", FactType.ADAPTER_CERTIFIED, "adapter-certificate/c1", 0, NOW, "stad-gent", {"id": "c1"})
    right = Fact(
        "f2", FactType.ADAPTER_CERTIFIED, "adapter-certificate/c1", 0, NOW, "stad-gent", {"id": "c1", "report": REPORT}
    )
    assert not state.apply(1, wrong)
    assert state.apply(2, right)
    assert state.policy_epoch == -1
