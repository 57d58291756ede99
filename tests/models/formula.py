"""BERT's forward pass as the paper writes it: one text, one head at a time, float64, no kernel."""

from math import erf, sqrt

import numpy as np


def gelu(x):
    return x * np.vectorize(lambda value: 0.5 * (1 + erf(value / sqrt(2))))(x)


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": lambda x: np.maximum(x, 0),
}


def token_states(tensors, config, ids):
    """Last hidden states, (tokens, hidden), and the weights, (layers, heads, tokens, tokens)."""
    tensors = {name: np.asarray(tensor, np.float64) for name, tensor in tensors.items()}

    def dense(x, name):
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt(x.var(-1, keepdims=True) + config["layer_norm_eps"])
        return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    first = config["pad_token_id"] + 1 if config["model_type"] != "bert" else 0
    states = tensors["embeddings.word_embeddings.weight"][ids]
    states = states + tensors["embeddings.position_embeddings.weight"][first:][: len(ids)]
    states = states + tensors["embeddings.token_type_embeddings.weight"][0]
    states = norm(states, "embeddings.LayerNorm")
    weights = []
    for layer in range(config["num_hidden_layers"]):
        key = f"encoder.layer.{layer}"
        query, keys, value = (
            np.split(
                dense(states, f"{key}.attention.self.{part}"), config["num_attention_heads"], 1
            )
            for part in ("query", "key", "value")
        )
        context, seen = [], []
        for q, k, v in zip(query, keys, value, strict=True):
            exponentials = np.exp(q @ k.T / np.sqrt(q.shape[1]))
            seen.append(exponentials / exponentials.sum(1, keepdims=True))
            context.append(seen[-1] @ v)
        weights.append(seen)
        attended = dense(np.concatenate(context, 1), f"{key}.attention.output.dense")
        states = norm(attended + states, f"{key}.attention.output.LayerNorm")
        inner = ACTIVATIONS[config["hidden_act"]](dense(states, f"{key}.intermediate.dense"))
        states = norm(dense(inner, f"{key}.output.dense") + states, f"{key}.output.LayerNorm")
    return states, np.array(weights)
