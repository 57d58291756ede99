"""Pretrained models, assembled from the kernels: BERT-family sentence encoders.

>>> from numfuse.models import BertEncoder, minilm_folder
>>> encoder = BertEncoder.from_folder(minilm_folder())  # doctest: +SKIP
>>> encoder.encode(["The cat sat on the mat."]).shape  # doctest: +SKIP
(1, 384)
"""

from ._minilm import minilm_folder
from .bert import BertEncoder

__all__ = ["BertEncoder", "minilm_folder"]
