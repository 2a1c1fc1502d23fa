"""A tiny random encoder of any kind, with a tokenizer of whole words."""

WORDS = [f"word{i}" for i in range(60)]
SPECIAL = ("<pad>", "<cls>", "<sep>", "<unk>")
SIZES = {
    "bert": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
    },
    "t5": {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2},
    "pegasus": {
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 40,
    },
    "xlnet": {"d_model": 32, "n_head": 2, "n_layer": 1, "d_inner": 32},
}
SIZES["umt5"] = SIZES["t5"]


def make_encoder(folder, kind="bert", pad=True, with_tokenizer=True, **config):
    """Save an encoder into a folder; the folder as str."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<cls> $A <sep>", special_tokens=[("<cls>", 1), ("<sep>", 2)]
    )
    names = {"cls_token": "<cls>", "sep_token": "<sep>", "unk_token": "<unk>"}
    if pad:
        names["pad_token"] = "<pad>"
    if with_tokenizer:
        fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
        fast.save_pretrained(folder)
    sizes = {"vocab_size": len(vocabulary), "pad_token_id": 0}
    sizes |= SIZES.get(kind, SIZES["bert"])
    settings = transformers.AutoConfig.for_model(kind, **(sizes | config))
    torch.manual_seed(0)
    transformers.AutoModel.from_config(settings).save_pretrained(folder)
    return str(folder)
