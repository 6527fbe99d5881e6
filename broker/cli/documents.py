"""Reviewed documents on disk: `policies/` (purposes, ceilings, agreements) and `schemas/`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from broker.errors import ConfigError, Invalid
from broker.model.control_state import ControlState
from broker.model.purpose import Purposes
from broker.model.registered import Product, RegisteredSchema
from broker.policy import limit_documents, organisations
from broker.policy.limits import Ceilings
from broker.policy.organisations import Member
from broker.schema.avro import Schema, load_schema

_CHECKOUT = Path(__file__).parents[2]
_LARGEST = 1 << 20
_RECEIPT = "receipt.v1.avsc"


def read_text(path: Path) -> str:
    """Text of a document; raises `Invalid` if it cannot be read or is larger than a document is."""
    try:
        if path.stat().st_size > _LARGEST:
            raise Invalid(f"{path} is too large for a document")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from error


@dataclass(frozen=True, slots=True)
class PolicyFolder:
    """Policies and schemas of one deployment."""

    policies: Path
    schemas: Path

    @classmethod
    def of(cls, policies: Path | None = None, schemas: Path | None = None) -> "PolicyFolder":
        """The given folders, else those beside this package; raises `ConfigError` where there are none."""
        found = cls(policies or _CHECKOUT / "policies", schemas or _CHECKOUT / "schemas")
        for folder, option in ((found.policies, "--policies"), (found.schemas, "--schemas")):
            if not folder.is_dir():
                raise ConfigError(f"no folder {folder}: name it with {option}")
        return found

    def purposes_text(self) -> str:
        """YAML of `purposes.yaml`."""
        return read_text(self.policies / "purposes.yaml")

    def purposes(self) -> Purposes:
        """The list of purposes."""
        return limit_documents.purposes(self.purposes_text())

    def ceilings(self) -> Ceilings:
        """Every product's ceilings by (source, product, purpose)."""
        return {
            ceiling.key: ceiling
            for path in sorted((self.policies / "ceilings").glob("*.yaml"))
            for ceiling in limit_documents.ceilings(read_text(path))
        }

    def product_schemas(self) -> Mapping[str, Schema]:
        """Schemas of products by product id."""
        texts = (read_text(path) for path in sorted(self.schemas.glob("*.avsc")) if path.name != _RECEIPT)
        return {schema.product: schema for schema in map(load_schema, texts)}

    def members(self) -> tuple[Member, ...]:
        """Public bodies of `organisations.yaml`."""
        return organisations.members(read_text(self.policies / "organisations.yaml"))

    def receipt_schema(self) -> str:
        """Avro JSON of receipts."""
        return read_text(self.schemas / _RECEIPT)

    def agreement_files(self) -> list[Path]:
        """Documents of agreements, by name."""
        return sorted((self.policies / "agreements").glob("*.yaml"))

    def state(self) -> ControlState:
        """Control state with these purposes, organisations, schemas and products, as if they had been registered."""
        state = ControlState(purposes=tuple(limit_documents.purpose_documents(self.purposes())))
        numbers = {}
        for number, (name, schema) in enumerate(sorted(self.product_schemas().items()), start=1):
            state.schemas[number] = RegisteredSchema(number, name, schema.text)
            numbers[name] = number
        for member in self.members():
            slug = member.organisation.id
            state.organisations[slug] = member.organisation
            for offered in member.products:
                if offered in numbers:
                    state.products[slug, offered] = Product(offered, slug, numbers[offered])
        return state
