#!/usr/bin/env python3
"""Serves a tiny model with random weights over llama.cpp's own HTTP server, for the opt-in tests of `tests/it/http_llama.rs`.

    python3 -m venv /tmp/llama && /tmp/llama/bin/pip install xllamacpp gguf
    /tmp/llama/bin/python scripts/llama-server.py 8088 &
    OWF_TEST_LLAMA_URL=http://127.0.0.1:8088/v1 cargo test --test it -- http_llama

Nothing is downloaded but the two packages: the model is made here, half a megabyte of seeded random numbers. It talks nonsense,
and still answers by a schema, because the server samples by a grammar.
"""

import os
import sys
import tempfile
import time

import gguf
import numpy as np
import xllamacpp

LAYERS, WIDTH, HEADS, FEED_FORWARD, CONTEXT = 2, 64, 4, 128, 65_536
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_symbols():
    """The 256 printable stand-ins for bytes of byte-level BPE."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols, others = {byte: chr(byte) for byte in plain}, 0
    for byte in range(256):
        if byte not in symbols:
            symbols[byte] = chr(256 + others)
            others += 1
    return [symbols[byte] for byte in range(256)]


def write_model(path):
    merges = ["t h", "h e"]
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|unknown|>", "<|pad|>"]
    tokens = byte_symbols() + [merge.replace(" ", "") for merge in merges] + control
    kinds = [gguf.TokenType.NORMAL] * (len(tokens) - len(control)) + [gguf.TokenType.CONTROL] * len(control)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny-random")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_unk_token_id(tokens.index("<|unknown|>"))
    writer.add_pad_token_id(tokens.index("<|pad|>"))
    writer.add_chat_template(TEMPLATE)
    random = np.random.default_rng(7)

    def tensor(name, *shape):
        writer.add_tensor(name, random.standard_normal(shape, dtype=np.float32) * 0.05)

    # The first coordinate is the same for every token, so the first column of the output is a bias: strings, lists, objects and
    # answers end soon, and not where the server cuts them off and no longer can read them; numbers are seldom below zero.
    embedding = random.standard_normal((len(tokens), WIDTH), dtype=np.float32) * 0.05
    embedding[:, 0] = 1.0
    writer.add_tensor("token_embd.weight", embedding)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}{name}.weight", np.ones(WIDTH, dtype=np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensor(f"{block}{name}.weight", WIDTH, WIDTH)
        tensor(f"{block}ffn_gate.weight", FEED_FORWARD, WIDTH)
        tensor(f"{block}ffn_up.weight", FEED_FORWARD, WIDTH)
        tensor(f"{block}ffn_down.weight", WIDTH, FEED_FORWARD)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, dtype=np.float32))
    output = random.standard_normal((len(tokens), WIDTH), dtype=np.float32) * 0.05
    output[:, 0] = 0.0
    output[[*b'",]}', tokens.index("<|im_end|>")], 0] = 0.5
    output[ord("-"), 0] = -1.0
    writer.add_tensor("output.weight", output)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8088
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "tiny.gguf")
        write_model(path)
        params = xllamacpp.CommonParams()
        params.model.path = path
        params.n_ctx = CONTEXT
        params.n_parallel = 4
        params.n_predict = 2048
        params.hostnames = ["127.0.0.1"]
        params.port = port
        params.use_jinja = True
        server = xllamacpp.Server(params)
        print(f"{server.listening_address}/v1", flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
