"""The parts of one bundle as they are read: each checked against its form and against those read before it."""

from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from app.model.verification.arrays import FORMS, Array, Form, Sizes
from app.model.verification.folder import VerifiedFolder
from app.model.verification.manifest import first_fault

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BundleParts:
    """The verified files of a bundle, and the sizes that were found so far."""

    files: VerifiedFolder
    sizes: Sizes = field(default_factory=Sizes)

    def array(self, name: str, form: Form | None = None) -> Array:
        """The array in this file, read-only; raises BundleRefused unless it has its form, by default that of FORMS."""
        found = self.files.array(name)
        fault = self.sizes.fault(name, found, FORMS[name] if form is None else form)
        if fault is not None:
            raise self.files.refused(name, fault)
        return found

    def document(self, name: str, form: TypeAdapter[T]) -> T:
        """The document in this file; raises BundleRefused unless it holds what its form asks for."""
        try:
            return form.validate_python(self.files.json(name))
        except ValidationError as error:
            raise self.files.refused(name, f"does not hold what it should: {first_fault(error)}") from None
