"""torch, imported when it is needed; devices and half precision."""

from sklearn_xmr.utils._whole_file import whole_file

INSTALL = "pip install 'sklearn-xmr[transformer]'"


def import_torch():
    """Import torch and transformers, or say how to install them.

    Returns
    -------
    torch, transformers : modules

    Raises
    ------
    ImportError
        If one of them is missing.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ImportError(
            f"XTransformerClassifier needs torch and transformers: {INSTALL}"
        ) from error
    return torch, transformers


def pick_device(device):
    """The torch device of a name.

    Parameters
    ----------
    device : str
        "auto" takes a GPU if there is one; or a torch device, such as "cuda:1".

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If torch knows no such device.
    """
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

    Parameters
    ----------
    precision : {"auto", "fp32", "bf16", "fp16"}
        "auto" decides by the device.
    device : torch.device
        Where the products run.

    Returns
    -------
    torch.dtype or None
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


def autocast(device, half):
    """Context in which matrix products run in a half-precision type, if any."""
    torch, _ = import_torch()
    return torch.autocast(device.type, dtype=half, enabled=half is not None)


def load_tensors(path):
    """What :func:`save_tensors` wrote, on the CPU; a file cannot run code.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    object
    """
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def save_tensors(value, path):
    """Write tensors and what holds them, whole or not at all.

    Parameters
    ----------
    value : object
        Tensors, numbers, strings, and lists, tuples and dicts of these.
    path : path-like
        The file.

    Raises
    ------
    OSError
        If it cannot be written; what was there stays.
    """
    import torch

    with whole_file(path) as file:
        try:
            torch.save(value, file)
        except RuntimeError as error:  # what torch makes of a full disk
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise
