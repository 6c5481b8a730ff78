"""A property that is worked out once, for what one thread holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class once(Generic[Value]):
    """`functools.cached_property` without its lock, which Python 3.12 has done away with.

    Cases are made by the million and each asks a dozen of them: the lock took 5 % of a decision.
    """

    def __init__(self, function: Callable[[Any], Value]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> once[Value]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...

    def __get__(self, instance: object | None, owner: type) -> once[Value] | Value:
        """Work it out, and leave it where it is found first from then on."""
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._function(instance)
        return value
