"""Functions whose keywords are options: defaults, checks and their help come from the options alone.

::

    RHO = Option("rho", 7.0, "1 spaces evenly in sigma.", minimum=0.1, maximum=100.0)

    @takes(RHO)
    def poly_rho(n: int, sigma_min: float, sigma_max: float, rho: float) -> torch.Tensor: ...

    poly_rho(50, 0.1, 10.0)  # rho is 7
    poly_rho(50, 0.1, 10.0, rho=-1)  # ValueError: rho is -1; it must be a number between 0.1 and 100.
    poly_rho.options  # (RHO,)
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

from .options import Option, check_options

__all__ = ["TakesOptions", "takes"]

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class TakesOptions(Protocol[R_co]):
    """What :func:`takes` makes: the function, which also says what its options are."""

    __name__: str
    options: tuple[Option, ...]

    def __call__(self, *arguments: Any, **keywords: Any) -> R_co: ...


def takes(*options: Option) -> Callable[[Callable[..., R]], TakesOptions[R]]:
    """Decorator: the parameters with these names have the options' defaults, and their values are checked.

    ``inspect.signature`` shows the defaults and ``help`` the sentences.

    Raises:
        TypeError: at once, an option that the function has no parameter for.
    """

    def decorate(function: Callable[..., R]) -> TakesOptions[R]:
        signature = _with_defaults(function, options)

        @functools.wraps(function)
        def checked(*arguments: Any, **keywords: Any) -> R:
            given = signature.bind(*arguments, **keywords)
            given.apply_defaults()
            check_options(options, given.arguments)
            return function(*given.args, **given.kwargs)

        checked.__doc__ = _described(function.__doc__, options)
        made = cast(Any, checked)
        made.__signature__, made.options = signature, options
        return cast("TakesOptions[R]", made)

    return decorate


def _with_defaults(function: Callable[..., Any], options: Sequence[Option]) -> inspect.Signature:
    parameters = dict(inspect.signature(function).parameters)
    for each in options:
        if each.name not in parameters:
            raise TypeError(f"{function.__name__} takes no {each.name}; name its parameters as its options.")
        parameters[each.name] = parameters[each.name].replace(default=each.default)
    return inspect.signature(function).replace(parameters=list(parameters.values()))


def _described(text: str | None, options: Sequence[Option]) -> str:
    if not options:
        return text or ""
    said = [f"    {each.name}: {each.description} Default: {each.default}." for each in options]
    return "\n".join([inspect.cleandoc(text or ""), "", "Options:", *said])
