"""Gives an untrained nano model two layers that look back and copy, which training alone is slow to find.

After Olsson et al. (2022), "In-context Learning and Induction Heads": a head of the first layer tells each token what
stood before it; a head of the second looks for the place whose token before is the one just read, and says what stands
there.
"""

from importlib import import_module
from typing import Any

Model = Any
"""A transformers model; the library's own types are only partly known."""
Tensor = Any
FAST = 4  # rotary frequencies that tell neighbours apart; the slow ones after them hardly turn within a prompt
LOOK_BACK, MATCH, SAY = 7.0, 4.0, 2.0


def look_back(model: Model) -> None:
    """Set the weights of two heads in each of the first two layers, in place.

    Part of the residual stream, as wide as a head, is kept free of embeddings and holds the token before.
    """
    torch: Any = import_module("torch")
    shape = model.config
    width = shape.hidden_size // shape.num_attention_heads
    group = shape.num_attention_heads // shape.num_key_value_heads
    with torch.no_grad():
        every = torch.linalg.qr(torch.randn(shape.hidden_size, shape.hidden_size))[0]
        before, token = every[:, :width], every[:, width : 2 * width]
        embedded = model.model.embed_tokens.weight
        embedded -= embedded @ before @ before.T
        first, second = (layer.self_attn for layer in model.model.layers[:2])
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        _previous(first, model.model.rotary_emb.inv_freq, width)
        first.v_proj.weight[:width] = token.T
        first.o_proj.weight[:, :width] = before * embedded.std() * (shape.hidden_size / width) ** 0.5
        for i in range(shape.num_key_value_heads):
            key, query = slice(i * width, (i + 1) * width), slice(i * group * width, (i * group + 1) * width)
            said = every[:, (1 + i) * width : (2 + i) * width]
            second.q_proj.weight[query] = _slow(MATCH * token.T, width)
            second.k_proj.weight[key] = _slow(before.T, width)
            second.v_proj.weight[key] = said.T
            second.o_proj.weight[:, query] = SAY * said


def _previous(attention: Any, frequencies: Tensor, width: int) -> None:
    """Let the first head look one token back, whatever stands there: biases that agree once turned by a step."""
    import torch

    half = width // 2
    turn = frequencies[:FAST]
    attention.k_proj.bias[:FAST] = LOOK_BACK
    attention.q_proj.bias[:FAST] = LOOK_BACK * torch.cos(turn)
    attention.q_proj.bias[half : half + FAST] = -LOOK_BACK * torch.sin(turn)


def _slow(rows: Tensor, width: int) -> Tensor:
    """The rows without those whose rotary frequency is fast."""
    import torch

    kept = torch.ones(width, 1)
    kept[:FAST] = kept[width // 2 : width // 2 + FAST] = 0
    return rows * kept
