"""How alike two pictures are: as measures, and, because gradients pass through, as losses."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.errors import ConfigError, DataError

WINDOW, WIDTH = 11, 1.5
SMALL = 96  # pixels
K1, K2 = 0.01, 0.03
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def psnr(x: Tensor, target: Tensor, span: float = 1.0) -> Tensor:
    r"""Peak signal-to-noise ratio of each picture, :math:`10 \log_{10}(\text{span}^2 / \text{mean squared error})`.

    Parameters
    ----------
    x, target : Tensor of shape (batch, H, W, C)
    span : float
        White minus black.

    Returns
    -------
    Tensor of shape (batch,)
        In decibels; infinite where both are equal.

    Raises
    ------
    DataError
        If they are not pictures of one shape.

    Examples
    --------
    >>> psnr(torch.full((1, 4, 4, 1), 0.1), torch.zeros(1, 4, 4, 1))
    tensor([20.])
    """
    _check(x, target, 1)
    return 10 * torch.log10(span**2 / (x - target).square().flatten(1).mean(1))


def ssim(x: Tensor, target: Tensor, span: float = 1.0) -> Tensor:
    r"""Structural similarity of each picture: the mean over places where the whole window of 11 x 11, a Gaussian of width 1.5, lies inside.

    :math:`\frac{(2 \mu_x \mu_y + C_1)(2 \sigma_{xy} + C_2)}{(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 + \sigma_y^2 + C_2)}` with
    :math:`C_1 = (0.01\,\text{span})^2`, :math:`C_2 = (0.03\,\text{span})^2`; the mean over channels.

    Parameters
    ----------
    x, target : Tensor of shape (batch, H, W, C)
        At least 11 x 11.
    span : float
        White minus black.

    Returns
    -------
    Tensor of shape (batch,)
        At most 1, for equal pictures.

    Raises
    ------
    DataError
        If they are not pictures of one shape, or too small.

    References
    ----------
    Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 13, 2004.

    Examples
    --------
    >>> picture = torch.rand(1, 16, 16, 1, generator=torch.Generator().manual_seed(0))
    >>> ssim(picture, picture)
    tensor([1.])
    """
    _check(x, target, WINDOW)
    luminance, contrast = _maps(x.permute(0, 3, 1, 2), target.permute(0, 3, 1, 2), span)
    return (luminance * contrast).flatten(1).mean(1)


def ms_ssim(x: Tensor, target: Tensor, span: float = 1.0, scales: int = 5) -> Tensor:
    """Structural similarity over several scales: contrast and structure of each, luminance of the coarsest, as a weighted geometric mean.

    Parameters
    ----------
    x, target : Tensor of shape (batch, H, W, C)
        At least 11 x 11 pixels at the coarsest scale: 161 x 161 for five.
    span : float
        White minus black.
    scales : int
        1 to 5; of fewer than five, the first weights, made to sum to 1.

    Returns
    -------
    Tensor of shape (batch,)
        At most 1; negative contrasts count as 0.

    Raises
    ------
    DataError
        If they are not pictures of one shape, or too small.
    ConfigError
        If there is no such number of scales.

    References
    ----------
    Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality assessment", Asilomar 2003.

    Examples
    --------
    >>> picture = torch.rand(1, 44, 44, 1, generator=torch.Generator().manual_seed(0))
    >>> round(float(ms_ssim(picture, picture, scales=3)), 6)
    1.0
    """
    if not 1 <= scales <= len(SCALES):
        raise ConfigError(f"scales must be 1 to {len(SCALES)}, not {scales}")
    _check(x, target, (WINDOW - 1) * 2 ** (scales - 1) + 1)
    a, b = x.permute(0, 3, 1, 2), target.permute(0, 3, 1, 2)
    weights = [weight / sum(SCALES[:scales]) for weight in SCALES[:scales]]
    total = x.new_ones(a.shape[:2])
    for scale, weight in enumerate(weights):
        luminance, contrast = _maps(a, b, span)
        part = contrast if scale < scales - 1 else luminance * contrast
        # The root's slope at 0 is infinite.
        total = total * part.mean((2, 3)).clamp_min(1e-6) ** weight
        a, b = (functional.avg_pool2d(h, 2, ceil_mode=True, count_include_pad=False) for h in (a, b))
    return total.mean(1)


def _maps(x: Tensor, y: Tensor, span: float) -> tuple[Tensor, Tensor]:
    """Return the factor of luminance, and that of contrast and structure, of each place: shape (batch, C, H - 10, W - 10)."""
    batch, channels = x.shape[:2]
    stack = torch.cat([x, y, x * x, y * y, x * y]).reshape(5 * batch * channels, 1, *x.shape[2:])
    means = _smoothed(stack).view(5, batch, channels, x.shape[2] - WINDOW + 1, x.shape[3] - WINDOW + 1)
    mx, my, xx, yy, xy = means.unbind(0)
    c1, c2 = (K1 * span) ** 2, (K2 * span) ** 2
    luminance = (2 * mx * my + c1) / (mx * mx + my * my + c1)
    return luminance, (2 * (xy - mx * my) + c2) / (xx - mx * mx + yy - my * my + c2)


def _smoothed(planes: Tensor) -> Tensor:
    places = torch.arange(WINDOW, device=planes.device, dtype=planes.dtype) - WINDOW // 2
    kernel = torch.exp(-0.5 * (places / WIDTH).square())
    kernel = kernel / kernel.sum()
    if max(planes.shape[2:]) <= SMALL:
        return _band(kernel, planes.shape[2]) @ (planes @ _band(kernel, planes.shape[3]).T)
    return functional.conv2d(functional.conv2d(planes, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def _band(kernel: Tensor, side: int) -> Tensor:
    """Return the smoothing of rows of length `side` as a matrix, which on small pictures is several times as quick."""
    return torch.stack([functional.pad(kernel, (i, side - WINDOW - i)) for i in range(side - WINDOW + 1)])


def _check(x: Tensor, target: Tensor, least: int) -> None:
    if x.ndim != 4 or x.shape != target.shape:
        raise DataError(
            f"two batches of pictures of one shape (batch, H, W, C) are compared, not {tuple(x.shape)} and {tuple(target.shape)}"
        )
    if min(x.shape[1:3]) < least:
        raise DataError(f"pictures of {x.shape[1]} x {x.shape[2]} are too small for this measure, which needs {least} x {least}")
