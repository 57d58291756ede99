"""Which names are public: what the package itself says, so that no name can be forgotten."""

import importlib
import importlib.util
import inspect
import pkgutil
import types

import numfuse


def public_modules():
    """The package and its modules, outer ones first, none of whose names begins with an underscore."""
    yield numfuse
    found = [module.name for module in pkgutil.walk_packages(numfuse.__path__, "numfuse.")]
    for name in sorted(found, key=lambda name: (name.count("."), name)):
        if not any(part.startswith("_") for part in name.split(".")[1:]):
            try:
                module = importlib.import_module(name)
            except ImportError:
                if name != "numfuse.sklearn" or importlib.util.find_spec("sklearn"):
                    raise
                continue  # scikit-learn is never required
            yield module


def listed(module):
    """A module's `__all__`; without one, what it defines itself under a public name."""
    if hasattr(module, "__all__"):
        return module.__all__
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(thing) or inspect.isclass(thing))
        and thing.__module__ == module.__name__
    ]


def public_names():
    """Dotted names of everything public that is no module; what stands in two, in the outer one."""
    seen = []
    for module in public_modules():
        for name in listed(module):
            thing = getattr(module, name)
            if not isinstance(thing, types.ModuleType) and not any(
                thing is other for other in seen
            ):
                seen.append(thing)
                yield f"{module.__name__}.{name}"


def resolve(dotted):
    """The object of a dotted name, a method's too."""
    place, name = dotted.rsplit(".", 1)
    try:
        holder = importlib.import_module(place)
    except ModuleNotFoundError:
        holder = resolve(place)
    return getattr(holder, name)
