"""How good a reconstruction is: PSNR, SSIM, LPIPS, alignment over what the measurement cannot see, and the report."""

from .alignment import Alignment, align
from .intervals import wilson_interval
from .means import MEANS_RULE, Mean, mean_of
from .perceptual import load_lpips
from .psnr import flat_image_psnr, psnr
from .report import quality_table
from .ssim import ssim
from .table import QualityTable

__all__ = [
    "MEANS_RULE",
    "Alignment",
    "Mean",
    "QualityTable",
    "align",
    "flat_image_psnr",
    "load_lpips",
    "mean_of",
    "psnr",
    "quality_table",
    "ssim",
    "wilson_interval",
]
