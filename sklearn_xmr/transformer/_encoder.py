"""A pre-trained encoder with its tokenizer: texts in, unit vectors out."""

import hashlib

import numpy as np

from sklearn_xmr.transformer._tokens import TokenizedTexts, batches_by_length

INSTALL = "pip install 'sklearn-xmr[transformer]'"
# Of batches to encode: 64 texts of 32 tokens take 2 % longer, 32 take 9 %.
MOST_ROWS, MOST_TOKENS = 128, 4096
SMALLEST_NORM = 1e-12


def import_torch():
    """torch and transformers; ImportError that tells how to get them."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ImportError(
            f"XTransformerClassifier needs torch and transformers: {INSTALL}"
        ) from error
    return torch, transformers


def pick_device(device):
    """The torch device of "auto" or a name."""
    torch, _ = import_torch()
    if device != "auto":
        try:
            return torch.device(device)
        except RuntimeError as error:
            raise ValueError(
                f"device must be 'auto' or a torch device such as 'cpu' or 'cuda:0', "
                f"got {device!r}"
            ) from error
    if torch.cuda.is_available():
        return torch.device("cuda")
    mps = torch.backends.mps.is_available()
    return torch.device("mps" if mps else "cpu")


def half_precision(precision, device):
    """The type in which matrix products run, or None for float32.

    bfloat16 where the processor multiplies it in hardware: on a CPU with AVX512-BF16
    all-MiniLM-L6-v2 encodes 3.4 times as fast (benchmarks/RESULTS.md).
    """
    torch, _ = import_torch()
    types = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": None}
    if precision != "auto":
        return types[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    fast = (
        device.type == "cpu"
        and getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    )
    return torch.bfloat16 if fast else None


class TextEncoder:
    """An ``AutoModel`` with its tokenizer and a way to pool token vectors.

    Parameters
    ----------
    model : torch.nn.Module
    tokenizer : transformers tokenizer
    pooling : {"mean", "cls", "last"}
    max_length : int
    """

    def __init__(self, model, tokenizer, pooling, max_length):
        self.model, self.tokenizer = model, tokenizer
        self.pooling, self.max_length = pooling, max_length

    @classmethod
    def load(cls, name_or_path, pooling="mean", max_length=128, dropout=None):
        """From a folder or a hub's name; with another dropout than the model's.

        Raises
        ------
        OSError
            If there is no such model.
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
                f"model_name_or_path={str(name_or_path)!r} is neither a folder with a "
                "model and its tokenizer nor a model of the hub (which needs network): "
                f"{error}"
            ) from error
        finally:
            quiet.set_verbosity(verbosity)
            if bars:
                quiet.enable_progress_bar()
        return cls(model.float(), tokenizer, pooling, max_length)

    @property
    def pad(self):
        """Number of the padding token; it is masked, so that any will do (int)."""
        pad = self.tokenizer.pad_token_id
        return 0 if pad is None else pad

    @property
    def n_dense(self):
        """Length of an embedding (int)."""
        return self.model.config.hidden_size

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
                positions -= padding + 1  # RoBERTa and its kin count from there on
        return max(1, min(self.max_length, positions))

    def attend(self, device):
        """Choose how attention is computed, where the model lets one choose.

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
        device : torch.device
        half : torch.dtype or None
            Type of matrix products.
        out : ndarray of float32 of shape (n_texts, n_dense), optional
            Where to write; may be memory-mapped.
        rows : ndarray of int, optional
            Texts to encode; all by default. Others are left alone in ``out``.

        Returns
        -------
        ndarray
            ``out``.
        """
        torch, _ = import_torch()
        if out is None:
            out = np.zeros((len(tokens), self.n_dense), dtype=np.float32)
        rows = np.arange(len(tokens)) if rows is None else rows
        self.model.to(device).eval()
        self.attend(device)
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

    def fingerprint(self):
        """What tells this encoder's embeddings from another's (str)."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(f"{self.pooling} {self.tokens_key()}".encode())
        for name, value in self.model.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().numpy().tobytes())
        return digest.hexdigest()

    def tokens_key(self):
        """What tells this tokenizer's tokens from another's (str)."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        words = str(sorted(self.tokenizer.get_vocab().items()))
        content = words if backend is None else backend.to_str()
        digest = hashlib.blake2b(content.encode(), digest_size=16)
        return f"{digest.hexdigest()} {self._room()}"

    def state(self):
        """Weights as CPU tensors, by name."""
        return {k: v.detach().cpu().clone() for k, v in self.model.state_dict().items()}

    def __getstate__(self):
        self.model.to("cpu")  # a model fitted on a GPU loads where there is none
        return self.__dict__.copy()


def set_dropout(config, share):
    """Set all dropout shares of an encoder's configuration."""
    for name, value in vars(config).items():
        if "dropout" in name and isinstance(value, float):
            setattr(config, name, share)


def autocast(device, half):
    """Context in which matrix products run in a half-precision type, if any."""
    torch, _ = import_torch()
    return torch.autocast(device.type, dtype=half, enabled=half is not None)
