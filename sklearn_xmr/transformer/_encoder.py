"""Encoders: texts in, unit vectors out.

:class:`TextEncoder` is a pre-trained transformer with its tokenizer;
:func:`embed_with` calls any function as an encoder.
"""

import hashlib
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.preprocessing import normalize

from sklearn_xmr.transformer._tokens import TokenizedTexts, batches_by_length
from sklearn_xmr.transformer._torch import autocast, import_torch
from sklearn_xmr.utils._memory import check_memory
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._whole_file import whole_file

# Of batches to encode: 64 texts of 32 tokens take 2 % longer, 32 take 9 %.
MOST_ROWS, MOST_TOKENS = 128, 4096
SMALLEST_NORM = 1e-12
PLAIN_FILES = (".json", ".txt", ".model", ".jinja")  # of tokenizers


@storable
class TextEncoder:
    """An ``AutoModel`` with its tokenizer and a way to pool token vectors.

    Parameters
    ----------
    model : torch.nn.Module
        Returns ``last_hidden_state``.
    tokenizer : transformers tokenizer
        The model's.
    pooling : {"mean", "cls", "last"}
        How token vectors become one.
    max_length : int
        Number of tokens that are read of a text.
    dropout : float or None, default=None
        Dropout that the model has in training; None: its own.
    """

    def __init__(self, model, tokenizer, pooling, max_length, dropout=None):
        self.model, self.tokenizer = model, tokenizer
        self.pooling, self.max_length = pooling, max_length
        self.dropout, self._fingerprint = dropout, None

    @classmethod
    def load(cls, name_or_path, pooling="mean", max_length=128, dropout=None):
        """Load a pre-trained encoder.

        Parameters
        ----------
        name_or_path : str or path-like
            A folder, or a name of the hub.
        pooling : {"mean", "cls", "last"}, default="mean"
            How token vectors become one.
        max_length : int, default=128
            Number of tokens that are read of a text.
        dropout : float or None, default=None
            Dropout in training; None keeps the model's own.

        Returns
        -------
        TextEncoder

        Raises
        ------
        OSError
            If there is no such model, or no tokenizer that fits it.
        """
        _, transformers = import_torch()
        quiet = transformers.utils.logging
        verbosity, bars = quiet.get_verbosity(), quiet.is_progress_bar_enabled()
        quiet.set_verbosity_error()
        quiet.disable_progress_bar()
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(name_or_path)
            config = transformers.AutoConfig.from_pretrained(name_or_path)
            if dropout is not None:
                set_dropout(config, dropout)
            model = transformers.AutoModel.from_pretrained(name_or_path, config=config)
        except (OSError, ValueError) as error:
            raise OSError(
                f"encoder={str(name_or_path)!r} is neither a folder with a model and "
                f"its tokenizer nor a model of the hub (which needs network): {error}"
            ) from error
        finally:
            quiet.set_verbosity(verbosity)
            if bars:
                quiet.enable_progress_bar()
        _check_tokenizer(tokenizer, model, name_or_path)
        encoder = _encoder_of(model).float()
        return cls(encoder, tokenizer, pooling, max_length, dropout)

    @property
    def pad(self):
        """Number of the padding token; it is masked, so that any will do (int)."""
        pad = self.tokenizer.pad_token_id
        return 0 if pad is None else pad

    @property
    def n_dense(self):
        """Length of an embedding (int)."""
        return self.model.config.hidden_size

    # --- encoding --------------------------------------------------------------------

    def tokenize(self, texts, path=None):
        """Compact tokens of a list of str (TokenizedTexts), in a file if given."""
        return TokenizedTexts.tokenize(self.tokenizer, texts, self._room(), path)

    def _room(self):
        """Most tokens: fewer where the model has fewer positions."""
        positions = getattr(self.model.config, "max_position_embeddings", None)
        if positions is None or positions <= 0:  # relative positions: no limit
            return self.max_length
        for name, part in self.model.named_modules():
            padding = getattr(part, "padding_idx", None)
            if name.endswith("position_embeddings") and padding is not None:
                positions -= padding + 1  # RoBERTa and its variants start there
        return max(1, min(self.max_length, positions))

    def choose_attention(self, device):
        """Choose how attention is computed, where the model allows a choice.

        On a CPU, step by step: against torch's fused operator encoding takes 0.83 of
        the time, and a training step 0.6 (benchmarks/RESULTS.md).
        """
        if hasattr(self.model, "set_attn_implementation"):
            try:
                self.model.set_attn_implementation(
                    "eager" if device.type == "cpu" else "sdpa"
                )
            except ValueError:
                return  # this model has one only

    def store_activations(self, is_on):
        """Let training store activations, or compute them twice to save memory."""
        name = "disable" if is_on else "enable"
        change = getattr(self.model, f"activation_checkpointing_{name}", None)
        if change is None:  # transformers 4
            change = getattr(self.model, f"gradient_checkpointing_{name}")
        change()
        if is_on and hasattr(self.model, "_require_grads_hook"):
            self.model.disable_input_require_grads()  # a hook that no pickle takes

    def embed(self, ids, mask):
        """Pooled token vectors of a padded batch (tensor of float32)."""
        hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        hidden = hidden.float()
        if self.pooling == "cls":
            return hidden[:, 0]
        if self.pooling == "last":
            last = mask.sum(dim=1) - 1
            return hidden[range(len(hidden)), last]
        weight = mask[:, :, None].to(hidden.dtype)
        return (hidden * weight).sum(dim=1) / weight.sum(dim=1)

    def encode(self, tokens, device, half=None, out=None, rows=None):
        """Unit embeddings of tokenised texts.

        Parameters
        ----------
        tokens : TokenizedTexts
            Tokens of all texts.
        device : torch.device
            Where to compute; the model is moved there.
        half : torch.dtype or None, default=None
            Type of matrix products; None for float32.
        out : ndarray of float32 of shape (n_texts, n_dense), default=None
            Where to write; may be memory-mapped.
        rows : ndarray of int, default=None
            Texts to encode; all by default. Other rows of ``out`` stay as they are.

        Returns
        -------
        ndarray
            ``out``.
        """
        torch, _ = import_torch()
        if out is None:
            shape = len(tokens), self.n_dense
            instead = "give fewer texts at a time"
            check_memory("the embeddings", shape, ("texts", "dimensions"), instead)
            out = np.zeros(shape, dtype=np.float32)
        rows = np.arange(len(tokens)) if rows is None else rows
        self.model.to(device).eval()
        self.choose_attention(device)
        with torch.inference_mode(), autocast(device, half):
            batches = batches_by_length(tokens.lengths[rows], MOST_ROWS, MOST_TOKENS)
            todo = [rows[batch] for batch in batches]
            while todo:
                some = todo.pop(0)
                try:
                    out[some] = self._unit(tokens, some, device)
                except torch.OutOfMemoryError:
                    if len(some) == 1:
                        raise
                    todo = [*np.array_split(some, 2), *todo]
        return out

    def _unit(self, tokens, rows, device):
        torch, _ = import_torch()
        batch = (torch.from_numpy(a).to(device) for a in tokens.padded(rows, self.pad))
        embedded = self.embed(*batch)
        norm = embedded.norm(dim=1, keepdim=True).clamp_min(SMALLEST_NORM)
        return (embedded / norm).cpu().numpy()

    # --- weights ---------------------------------------------------------------------

    def state(self):
        """Weights as CPU tensors, by name (dict)."""
        return {k: v.detach().cpu().clone() for k, v in self.model.state_dict().items()}

    def load_state(self, state):
        """Take weights of :meth:`state`."""
        self.model.load_state_dict(state)
        self.forget_fingerprint()

    def fingerprint(self):
        """Hash of all that an embedding depends on beside the text (str)."""
        if self._fingerprint is None:
            digest = hashlib.blake2b(digest_size=16)
            digest.update(f"{self.pooling} {self.tokens_key()}".encode())
            for name, value in self.model.state_dict().items():
                digest.update(name.encode())
                digest.update(value.detach().cpu().numpy().tobytes())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def forget_fingerprint(self):
        """Hash the weights again when asked next: they are about to change."""
        self._fingerprint = None

    def tokens_key(self):
        """Hash of all that a text's tokens depend on beside the text (str)."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        words = str(sorted(self.tokenizer.get_vocab().items()))
        content = words if backend is None else backend.to_str()
        digest = hashlib.blake2b(content.encode(), digest_size=16)
        return f"{digest.hexdigest()} {self._room()}"

    # --- model files -----------------------------------------------------------------

    def to_plain(self):
        """What model files store: the files of the model and its tokenizer (dict)."""
        with TemporaryDirectory() as folder:
            self.model.config.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
            files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        settings = ("pooling", "max_length", "dropout")
        return {
            "files": files,
            "weights": {name: w.numpy() for name, w in self.state().items()},
            **{name: getattr(self, name) for name in settings},
        }

    @classmethod
    def from_plain(cls, plain):
        """Make an encoder of what :meth:`to_plain` returned; it runs no code of it."""
        torch, transformers = import_torch()
        files, weights = plain.pop("files"), plain.pop("weights")
        with TemporaryDirectory() as folder:
            for name, content in files.items():
                if Path(name).name != name or Path(name).suffix not in PLAIN_FILES:
                    raise ValueError(f"an encoder has no file {name!r}")
                with whole_file(Path(folder) / name) as file:
                    file.write(content)
            own = {"trust_remote_code": False, "local_files_only": True}
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **own)
            config = transformers.AutoConfig.from_pretrained(folder, **own)
        model = transformers.AutoModel.from_config(config, trust_remote_code=False)
        if weights.keys() != model.state_dict().keys():
            model = model.get_encoder()  # of a model that also writes
        encoder = cls(model.float(), tokenizer, **plain)
        encoder.load_state({n: torch.tensor(array) for n, array in weights.items()})
        encoder.model.eval()
        return encoder

    def __getstate__(self):
        # A model fitted on a GPU loads where there is none.
        return {**self.__dict__, "model": cpu_copy(self.model)}


def _encoder_of(model):
    """The half that reads, of a model that also writes (T5 and its kin)."""
    writes = getattr(model.config, "is_encoder_decoder", False)
    return model.get_encoder() if writes else model


def _check_tokenizer(tokenizer, model, name_or_path):
    """OSError unless the tokenizer has words, and the model an embedding for each.

    Where a folder has no files of a tokenizer, transformers makes one up.
    """
    where = f"encoder={str(name_or_path)!r}"
    words = tokenizer.get_vocab()
    if not words.keys() - set(tokenizer.all_special_tokens):
        raise OSError(
            f"{where} has no tokenizer: save the model's with "
            "tokenizer.save_pretrained beside it"
        )
    embeddings = model.get_input_embeddings()
    n_known = getattr(embeddings, "num_embeddings", None)
    if n_known is not None and max(words.values()) >= n_known:
        raise OSError(
            f"{where} has a tokenizer of {max(words.values()) + 1} tokens, but its "
            f"model embeds {n_known}: after adding tokens, call "
            "model.resize_token_embeddings and save both"
        )


def cpu_copy(model):
    """A copy of a model on the CPU; the model itself stays where it is.

    Tensors that are on the CPU already are shared, not copied.
    """
    torch, _ = import_torch()
    copies = {}
    for weight in model.parameters():
        on_cpu = torch.nn.Parameter(weight.detach().cpu(), weight.requires_grad)
        copies[id(weight)] = on_cpu
    for buffer in model.buffers():
        copies[id(buffer)] = buffer.detach().cpu()
    return deepcopy(model, copies)


def set_dropout(config, share):
    """Set all dropout shares of an encoder's configuration."""
    for name, value in vars(config).items():
        if "dropout" in name and isinstance(value, float):
            setattr(config, name, share)


def embed_with(encoder, texts):
    """Unit embeddings by a function.

    Parameters
    ----------
    encoder : callable
        From a list of str to an array with a row for each.
    texts : list of str
        Texts.

    Returns
    -------
    ndarray of float32 of shape (n_texts, n_dense)

    Raises
    ------
    ValueError
        If the function returned something else.
    """
    embedded = np.asarray(encoder(texts), dtype=np.float32)
    if embedded.ndim != 2 or len(embedded) != len(texts):
        raise ValueError(
            f"an encoder that is a function must return an array with a row for each "
            f"of the {len(texts)} texts, got shape {embedded.shape}"
        )
    if not np.isfinite(embedded).all():
        raise ValueError("an encoder that is a function returned NaN or infinity")
    return normalize(embedded)
