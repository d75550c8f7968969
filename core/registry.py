"""Registries that fill themselves: every module of a package is imported, and its classes with a `kind` are found."""

import importlib
import pkgutil


class Registry:
    """The classes of one package that derive from a base and have a `kind`, by that kind.

    `Registry("notifications.channels")` imports each module of the package when first asked. A module named `base`
    holds the base class.
    """

    def __init__(self, package):
        self.package = package
        self._classes = None

    def classes(self):
        """`{kind: class}` of all that the package holds."""
        if self._classes is None:
            package = importlib.import_module(self.package)
            found = {}
            for info in pkgutil.iter_modules(package.__path__):
                module = importlib.import_module(f"{self.package}.{info.name}")
                for value in vars(module).values():
                    # A class with a slot or a property of that name is none of the registry's.
                    is_ours = isinstance(value, type) and value.__module__ == module.__name__
                    if is_ours and isinstance(getattr(value, "kind", None), str) and value.kind:
                        if value.kind in found:
                            raise ValueError(f"Two classes of {self.package} have the kind {value.kind!r}.")
                        found[value.kind] = value
            self._classes = found
        return self._classes

    def get(self, kind):
        """An instance of the class of this kind, or KeyError."""
        return self.classes()[kind]()

    def __contains__(self, kind):
        return kind in self.classes()

    def choices(self):
        """`(kind, label)` pairs, for a model field; passed as a callable so that no migration names a kind."""
        return sorted((kind, cls.label) for kind, cls in self.classes().items())
