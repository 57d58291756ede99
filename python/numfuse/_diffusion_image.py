"""Smoothing of images that keeps their edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _config, _native
from . import _diffusion_options as _constraints

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike, NDArray


def diffuse_image(
    image: ArrayLike,
    *,
    steps: int,
    edge: float,
    conductance: Literal["exponential", "reciprocal"] = "exponential",
    dt: float | None = None,
    channel_axis: int | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Smooth an image or a volume within its regions and not across their edges [1]_.

    In each step every pixel gains ``dt·Σ c(|d|)·d`` over its neighbours along the axes, d the
    difference to one; nothing flows through the image's sides.

    Parameters
    ----------
    image : array_like of one to three space axes, float32 or float64
        And one of channels, if `channel_axis` names it.
    steps : int
        How many steps.
    edge : float
        Difference between neighbours that counts as an edge, > 0, in the image's units.
    conductance : {"exponential", "reciprocal"}, default "exponential"
        c = exp(−(d/edge)²), which favours strong edges, or 1/(1 + (d/edge)²), which favours wide
        regions.
    dt : float, optional
        Length of a step, at most 1/(2·space axes); 0.8 of that unless given.
    channel_axis : int, optional
        The axis of colours: an edge in one of them is one in all, |d| the 2-norm over them.
    out : ndarray, shape and dtype of `image`, optional
        Where to write the result; it may share memory with `image`, for which the result is
        computed aside and copied.

    Returns
    -------
    ndarray, shape and dtype of `image`
        `out` if it was given.

    Raises
    ------
    TypeError
        If `image` is neither float32 nor float64 (``image / 255`` makes an image of bytes one), or
        an argument has a wrong type.
    ValueError
        If an argument is out of its range.

    See Also
    --------
    diffuse : Diffusion that does not look at the field.

    References
    ----------
    .. [1] P. Perona, J. Malik, "Scale-space and edge detection using anisotropic diffusion", IEEE
       Trans. Pattern Anal. Mach. Intell. 12 (1990) 629-639.

    Examples
    --------
    Ripples of 0.1 go, the step of 1 stays:

    >>> import numpy as np
    >>> from numfuse import diffuse_image
    >>> image = np.array([[0.0, 0.1, 0.0, 1.0, 1.1, 1.0]])
    >>> diffuse_image(image, steps=50, edge=0.2).round(2)
    array([[0.03, 0.03, 0.03, 1.03, 1.03, 1.03]])
    """
    (array,), dtype = _arrays.floats(image=image)
    steps = _constraints.STEPS.checked("steps", steps)
    edge = _constraints.EDGE.checked("edge", edge, dtype)
    conductance = _constraints.CONDUCTANCE.checked("conductance", conductance)
    moved = array
    if channel_axis is not None:
        channel_axis = _constraints.CHANNEL_AXIS.checked("channel_axis", channel_axis)
        if not -array.ndim <= channel_axis < array.ndim:
            raise ValueError(
                f"channel_axis is {channel_axis}, but image has {array.ndim} axes; it has to be "
                f"{_constraints.CHANNEL_AXIS.allowed}."
            )
        moved = np.moveaxis(array, channel_axis, 0)
    space = array.ndim - (channel_axis is not None)
    if not 1 <= space <= 3:
        raise ValueError(
            f"image has shape {array.shape}, which are {space} axes of space, but has to have 1 to "
            "3; name an axis of channels by channel_axis=, or pass one image after the other."
        )
    limit = 1 / (2 * space)
    dt = 0.8 * limit if dt is None else _constraints.DT.checked("dt", dt)
    if dt > limit * (1 + 1e-12):
        raise ValueError(
            f"dt is {dt:g}, but a step is stable up to {limit:g} with {space} space axes; take a "
            "shorter one, or leave dt= away."
        )
    if out is not None:
        _arrays.check_out(out, array.shape, dtype)
    channels = moved if channel_axis is not None else moved[None]
    given = np.ascontiguousarray(channels, dtype)
    if not given.flags.aligned:
        given = given.copy()
    result = np.empty(given.shape, dtype)
    if steps == 0 or array.size == 0:
        np.copyto(result, given)
    elif _config.backend() == "numpy":
        from .reference import diffusion

        result[...] = diffusion.image(given, steps, edge, conductance, dt)
    else:
        _native.kernels.diffusion_image(
            given, result, steps, edge, conductance == "reciprocal", dt, _config.threads()
        )
    whole = np.moveaxis(result, 0, channel_axis) if channel_axis is not None else result[0]
    return _arrays.deliver(whole, out)
