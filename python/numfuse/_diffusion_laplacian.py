"""The Laplacian of a field on a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _arrays, _config, _native
from . import _diffusion_problem as _problem
from ._diffusion_layout import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from ._diffusion import Boundary, Order


def laplacian(
    field: ArrayLike,
    *,
    spacing: float | Sequence[float] = 1.0,
    axes: Sequence[int] | None = None,
    boundary: Boundary = "insulated",
    order: Order = 2,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Laplacian ∇²u of a field on a regular grid, by central differences.

    Parameters
    ----------
    field : array_like of any shape with the space axes, float32 or float64
        u at cell centres, at (i + ½)·spacing along each axis.
    spacing : float or tuple of float, default 1.0
        Width of a cell along each space axis.
    axes : tuple of int, optional
        One to three axes that are space; the others are independent fields. All of them by
        default.
    boundary : str, tuple or dict, default "insulated"
        As in `Diffusion`, with D = 1; no functions of time.
    order : {2, 4, 6, 8}, default 2
        Of the differences [1]_. Above 2 for sides that are periodic, insulated or of value 0.
    out : ndarray, shape and dtype of `field`, optional
        Where to write the result; it may share memory with `field`, for which the result is
        computed aside and copied.

    Returns
    -------
    ndarray, shape and dtype of `field`
        `out` if it was given. In units of the field's by length².

    Raises
    ------
    TypeError
        If `field` is neither float32 nor float64, or an argument has a wrong type.
    ValueError
        If an argument is out of its range, a side is a function of time or does not go with
        `order`, or an array does not have the side's shape.

    See Also
    --------
    diffuse : What the Laplacian does over time.

    References
    ----------
    .. [1] B. Fornberg, "Generation of finite difference formulas on arbitrarily spaced grids",
       Math. Comp. 51 (1988) 699-706.

    Examples
    --------
    >>> from numfuse import laplacian
    >>> laplacian([0.0, 1.0, 4.0, 9.0])
    array([ 1.,  2.,  2., -5.])
    >>> laplacian([0.0, 1.0, 4.0, 9.0], boundary={(0, "low"): ("value", 0.0)})
    array([ 1.,  2.,  2., -5.])
    """
    options = _problem.checked(
        1.0, spacing, axes, boundary, order, "harmonic", None, "upwind", None, None, None, None,
        "auto", 1e-3, copy=False,
    )  # fmt: skip
    (array,), dtype = _arrays.floats(field=field)
    places = _problem.space_axes("field", array.ndim, options.axes)
    layout = Layout(array, dtype, places, out)
    problem = _problem.fitted(options, layout.grid, dtype)
    if problem.varying_sides():
        raise ValueError(
            "boundary has a function of time, but a Laplacian has no time; give what the function "
            "returns, a finite number or an array along the face."
        )
    target = layout.target(problem)
    if array.size == 0:
        pass
    elif _config.backend() == "numpy":
        from .reference import diffusion

        target[...] = diffusion.operator(layout.field, problem)
    else:
        _native.kernels.diffusion_operator(problem, layout.field, target, _config.threads())
    return layout.delivered(target)
