"""When a product was declared, and when it last changed, as the control log says."""

from datetime import UTC, datetime, timedelta

from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType

FIRST = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_a_product_declared_again_was_issued_once_and_modified_then() -> None:
    folded = ControlState()
    for number in range(2):
        data = {"id": "adres.v1", "source": "adressenregister", "schema": f'"{number}"'}
        at = FIRST + timedelta(days=number)
        assert folded.apply(number, Fact(f"f{number}", FactType.PRODUCT, "product/adres.v1", number, at, "test", data))
    product = folded.products["adressenregister", "adres.v1"]
    assert (product.issued, product.modified) == (FIRST, FIRST + timedelta(days=1))
