"""Sentence encoders of the BERT family, read from a Hugging Face folder."""

from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numfuse import attention_weights
from numfuse._progress import progress_bar

from ._forward import Forward, Group, Pack
from ._settings import Settings, read_settings, read_tokenizer
from ._weights import Weights, read_weights

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

# Longer lists are tokenised in parts: the tokenizer's own records are ten times their ids.
TEXTS_AT_ONCE = 4096
# What torch.nn.functional.normalize divides by at least.
SMALLEST_NORM = 1e-12


class BertEncoder:
    """A BERT-family encoder: texts to token states, sentence embeddings and attention weights.

    Made by :meth:`from_folder`. Dense layers are NumPy matrix products; attention, GELU and layer
    norm are numfuse's kernels (or its NumPy reference under ``config_context(backend="numpy")``).

    Texts are sorted by length, packed without padding, run in batches, and put back in order. No
    text sees another: attention, layer norm and GELU give an item the same bits whatever stands
    beside it. The matrix products are BLAS's, which may add in another order for another number of
    rows, so embeddings of one text from different batches agree to rounding, not bit for bit.

    Attributes
    ----------
    folder : pathlib.Path
        Where it was read from.
    hidden : int
        Length of an embedding.
    layers, heads : int
        Number of transformer blocks, and of attention heads in each.
    max_length : int
        Tokens that a text is cut to by default, the special ones included.
    pooling : {"mean", "cls", "max"}
        How the token states become one embedding, as the folder's sentence-transformers files say;
        the mean where it has none.
    dtype : numpy.dtype
        float32 or float64, of the weights and of everything computed.

    Examples
    --------
    >>> from numfuse.models import BertEncoder, minilm_folder
    >>> encoder = BertEncoder.from_folder(minilm_folder())  # doctest: +SKIP
    >>> embeddings = encoder.encode(["A cat sleeps.", "A kitten naps.", "Rates rose."])
    ... # doctest: +SKIP
    >>> (embeddings @ embeddings.T).round(1)  # doctest: +SKIP
    """

    def __init__(
        self, folder: Path, settings: Settings, weights: Weights, tokenizer: "Tokenizer"
    ) -> None:
        self.folder = folder
        self._settings = settings
        self._weights = weights
        self._tokenizer = tokenizer

    @classmethod
    def from_folder(
        cls, folder: str | PathLike[str], *, dtype: DTypeLike = np.float32
    ) -> "BertEncoder":
        """Read a Hugging Face folder.

        Parameters
        ----------
        folder : str or path
            Holds config.json, model.safetensors and tokenizer.json. Model types bert, roberta,
            xlm-roberta and camembert; absolute position embeddings; activations gelu (and its tanh
            forms) and relu; weights stored as float64, float32, float16 or bfloat16. The files that
            sentence-transformers adds (modules.json, 1_Pooling, sentence_bert_config.json) are
            followed where they are there.
        dtype : {float32, float64}, optional
            What to convert the weights to and compute in.

        Returns
        -------
        BertEncoder

        Raises
        ------
        ImportError
            If safetensors or tokenizers is not installed (``pip install numfuse[tour]``).
        OSError
            If a file is missing or damaged.
        ValueError
            If a setting is not supported, or if a tensor is missing or of another shape than
            config.json says.
        """
        _require("safetensors", "tokenizers")
        folder = Path(folder)
        real = np.dtype(dtype)
        if real not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise ValueError(f"dtype is {real}; supported: float32, float64")
        settings = read_settings(folder)
        tokenizer = read_tokenizer(folder, settings)
        return cls(folder, settings, read_weights(folder, settings, real), tokenizer)

    @property
    def hidden(self) -> int:
        """Length of an embedding."""
        return self._settings.hidden

    @property
    def layers(self) -> int:
        """Number of transformer blocks."""
        return self._settings.layers

    @property
    def heads(self) -> int:
        """Number of attention heads in each block."""
        return self._settings.heads

    @property
    def max_length(self) -> int:
        """Tokens that a text is cut to by default."""
        return self._settings.max_length

    @property
    def pooling(self) -> str:
        """How token states become one embedding: mean, cls or max."""
        return self._settings.pooling

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of weights and results."""
        return self._weights.words.dtype

    def __repr__(self) -> str:
        return (
            f"BertEncoder({str(self.folder)!r}, layers={self.layers}, heads={self.heads}, "
            f"hidden={self.hidden}, max_length={self.max_length}, pooling={self.pooling!r}, "
            f"dtype={self.dtype})"
        )

    def encode(
        self,
        texts: str | Sequence[str],
        *,
        batch_size: int = 32,
        normalize: bool = True,
        max_length: int | None = None,
        progress: bool = False,
    ) -> NDArray[Any]:
        """Sentence embeddings.

        Parameters
        ----------
        texts : sequence of str, or str
        batch_size : int, optional
            Texts in one pass, at least 1. More need more memory; 32 is about as fast as any.
        normalize : bool, optional
            Divide each embedding by its Euclidean length, so that a dot product is a cosine.
        max_length : int, optional
            Tokens that a text is cut to, the special ones included.
        progress : bool, optional
            Show a progress bar on stderr.

        Returns
        -------
        ndarray, shape (texts, hidden), or (hidden,) for one str

        Raises
        ------
        TypeError
            If `texts` holds anything but str.
        ValueError
            If `batch_size` or `max_length` is out of range.
        """

        def pool(states: NDArray[Any]) -> NDArray[Any]:
            match self.pooling:
                case "cls":
                    return states[:, 0, :-1]
                case "max":
                    return np.asarray(states[:, :, :-1].max(axis=1))
                case _:
                    return np.asarray(states[:, :, :-1].mean(axis=1))

        embeddings = self._one_vector_each(texts, pool, batch_size, max_length, progress)
        if normalize:
            lengths = np.linalg.norm(embeddings, axis=-1, keepdims=True)
            embeddings /= np.maximum(lengths, SMALLEST_NORM)
        return embeddings[0] if isinstance(texts, str) else embeddings

    def pooled(
        self,
        texts: str | Sequence[str],
        *,
        batch_size: int = 32,
        max_length: int | None = None,
        progress: bool = False,
    ) -> NDArray[Any]:
        """Pooler outputs: tanh of a dense layer on the first token's state.

        What BERT's own classifiers stand on (transformers' ``pooler_output``); for similarity take
        :meth:`encode`.

        Parameters
        ----------
        texts, batch_size, max_length, progress
            As in :meth:`encode`.

        Returns
        -------
        ndarray, shape (texts, hidden), or (hidden,) for one str

        Raises
        ------
        ValueError
            If the folder has no pooler, or as in :meth:`encode`.
        """
        pooler = self._weights.pooler
        if pooler is None:
            raise ValueError(
                f"{self.folder} has no pooler (tensor pooler.dense.weight); use encode instead"
            )

        def pool(states: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(np.tanh(states[:, 0] @ pooler))

        outputs = self._one_vector_each(texts, pool, batch_size, max_length, progress)
        return outputs[0] if isinstance(texts, str) else outputs

    @overload  # a str is a sequence of str too: the first that fits counts
    def token_states(  # type: ignore[overload-overlap]
        self, texts: str, *, batch_size: int = ..., max_length: int | None = ...
    ) -> NDArray[Any]: ...

    @overload
    def token_states(
        self, texts: Sequence[str], *, batch_size: int = ..., max_length: int | None = ...
    ) -> list[NDArray[Any]]: ...

    def token_states(
        self, texts: str | Sequence[str], *, batch_size: int = 32, max_length: int | None = None
    ) -> NDArray[Any] | list[NDArray[Any]]:
        """Last hidden state of every token.

        Parameters
        ----------
        texts, batch_size, max_length
            As in :meth:`encode`.

        Returns
        -------
        list of ndarray, or ndarray for one str
            One array of shape (tokens, hidden) for each text, its rows named by :meth:`tokens`.
        """
        ids = self._ids(texts, max_length)
        result: list[NDArray[Any]] = [np.empty(0)] * len(ids)
        for items, states in self._grouped_states(ids, batch_size):
            for item, rows in zip(items, states, strict=True):
                result[item] = rows[:, :-1].copy()
        return result[0] if isinstance(texts, str) else result

    def attention_weights(
        self, text: str, layer: int | None = None, *, max_length: int | None = None
    ) -> NDArray[Any]:
        """How much each token of one text attends to each other, for looking at.

        Parameters
        ----------
        text : str
        layer : int, optional
            Which block, 0 to layers - 1, or from the end if negative. All of them by default.
        max_length : int, optional
            As in :meth:`encode`.

        Returns
        -------
        ndarray, shape (heads, tokens, tokens), or (layers, heads, tokens, tokens) without `layer`
            Row: the token that looks; column: the token looked at. Each row sums to 1.

        Raises
        ------
        TypeError
            If `text` is no str.
        ValueError
            If there is no such layer.
        """
        if not isinstance(text, str):
            raise TypeError(f"text is a {type(text).__name__}; a single str is expected")
        if layer is not None and (isinstance(layer, bool) or not isinstance(layer, int)):
            raise TypeError(f"layer is a {type(layer).__name__}; an int or None is expected")
        if layer is not None and not -self.layers <= layer < self.layers:
            raise ValueError(
                f"layer is {layer}; the encoder has {self.layers}: give 0 to {self.layers - 1}"
            )
        pack = Pack(self._ids(text, max_length))
        wanted = range(self.layers) if layer is None else [layer % self.layers]
        weights = []
        blocks = Forward(self._settings, self._weights, pack.tokens).blocks(pack)
        for index, ((query, key, _),) in zip(range(wanted[-1] + 1), blocks, strict=False):
            if index in wanted:
                weights.append(attention_weights(query, key)[0])
        return np.stack(weights) if layer is None else weights[0]

    def tokens(self, text: str, *, max_length: int | None = None) -> list[str]:
        """Tokens of one text as strings, the special ones included.

        Parameters
        ----------
        text : str
        max_length : int, optional
            As in :meth:`encode`.

        Returns
        -------
        list of str
        """
        if not isinstance(text, str):
            raise TypeError(f"text is a {type(text).__name__}; a single str is expected")
        (ids,) = self._ids(text, max_length)
        return [str(self._tokenizer.id_to_token(int(token))) for token in ids]

    def _one_vector_each(
        self,
        texts: str | Sequence[str],
        pool: Callable[[NDArray[Any]], NDArray[Any]],
        batch_size: int,
        max_length: int | None,
        progress: bool,
    ) -> NDArray[Any]:
        """Apply `pool`, (texts, length, hidden + 1) to (texts, hidden), to texts of each length."""
        ids = self._ids(texts, max_length)
        result = np.empty((len(ids), self.hidden), self.dtype)
        with progress_bar("Encoding texts", len(ids), shown=progress) as advance:
            for items, states in self._grouped_states(ids, batch_size):
                result[items] = pool(states)
                advance(len(items))
        return result

    def _grouped_states(
        self, ids: list[NDArray[np.intp]], batch_size: int
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[Any]]]:
        """Run all texts, longest first; yield texts of equal length and their states.

        States are (texts, length, hidden + 1) and hold only until the next step.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size is {batch_size!r}; an int >= 1 is expected")
        order = np.argsort([-len(text) for text in ids], kind="stable")
        forward = None
        for first in range(0, len(order), batch_size):
            items = order[first : first + batch_size]
            pack = Pack([ids[item] for item in items])
            if forward is None:  # the first pack is the largest
                forward = Forward(self._settings, self._weights, pack.tokens)
            states = forward.states(pack)
            done = 0
            for group in pack.groups:
                yield items[done : done + group.texts], _of_group(states, group)
                done += group.texts

    def _ids(self, texts: str | Sequence[str], max_length: int | None) -> list[NDArray[np.intp]]:
        """Token ids of each text, cut to `max_length`."""
        added = self._tokenizer.num_special_tokens_to_add(False)
        usable = len(self._weights.positions)
        if max_length is None:
            max_length = self.max_length
        elif isinstance(max_length, bool) or not isinstance(max_length, int):
            raise TypeError(f"max_length is a {type(max_length).__name__}; an int is expected")
        if not added < max_length <= usable:
            raise ValueError(
                f"max_length is {max_length}; allowed: {added + 1} ({added} special tokens and "
                f"one) to {usable} (the model's positions)"
            )
        listed = [texts] if isinstance(texts, str) else list(texts)
        for index, text in enumerate(listed):
            if not isinstance(text, str):
                raise TypeError(
                    f"texts[{index}] is a {type(text).__name__}; every text must be a str"
                )
        ids = []
        for first in range(0, len(listed), TEXTS_AT_ONCE):
            part = listed[first : first + TEXTS_AT_ONCE]
            for encoding in self._tokenizer.encode_batch_fast(part, add_special_tokens=False):
                ids.append(self._finished(encoding, max_length - added))
        for index, tokens in enumerate(ids):
            if not len(tokens):
                raise ValueError(
                    f"texts[{index}] ({listed[index]!r}) has no tokens, and the tokenizer adds "
                    "none; leave it out"
                )
        return ids

    def _finished(self, encoding: "Encoding", room: int) -> NDArray[np.intp]:
        """Cut an encoding and add the special tokens."""
        encoding.truncate(room)
        return np.array(self._tokenizer.post_process(encoding).ids, np.intp)


def _of_group(states: NDArray[Any], group: Group) -> NDArray[Any]:
    return states[group.rows].reshape(group.texts, group.length, -1)


def _require(*modules: str) -> None:
    """Explain how to get the libraries that read a folder."""
    for module in modules:
        try:
            __import__(module)
        except ImportError as error:
            raise ImportError(
                f"reading a model folder needs {module} ({error}); pip install numfuse[tour]"
            ) from error
