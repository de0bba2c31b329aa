"""What a classifier and an embedder must do for the desk: a probe each, of a batch of three texts."""

import math
from collections.abc import Sequence

from openoutcry.core.errors import ModelRefused
from openoutcry.serving.asking import tones
from openoutcry.serving.examining.endpoint import Finding, Server

TEXTS = ("Profits rose.", "The company was fined and its chairman left.", "Rates were left as they are.")


async def classify(server: Server, names: Sequence[str]) -> Finding:
    """Whether texts are given labels, and all labels, those of *names* too, are tones."""
    mend = 'serve a text classifier with `purpose = "classify"` whose labels are tones'
    body = {"model": server.named(server.model.name), "input": list(TEXTS), "truncate_prompt_tokens": -1}
    try:
        told = await server.post("/classify", body)
        found = [str(datum["label"]) for datum in told["data"]]
    except ModelRefused as error:
        return Finding(False, str(error), mend)
    except (KeyError, TypeError):
        return Finding(False, "an answer without labels", mend)
    if fault := tones.strange([*names, *found]):
        return Finding(False, fault, mend)
    if len(found) != len(TEXTS):
        return Finding(False, f"{len(TEXTS)} texts, {len(found)} labels", mend)
    return Finding(True, f"{len(TEXTS)} texts: {', '.join(found)}")


async def embed(server: Server) -> Finding:
    """Whether each text of a batch is given a vector with a direction, all of one length."""
    mend = 'serve an embedding model with `purpose = "embed"`'
    try:
        told = await server.post("/v1/embeddings", {"model": server.named(server.model.name), "input": list(TEXTS)})
        vectors = [[float(x) for x in datum["embedding"]] for datum in told["data"]]
    except ModelRefused as error:
        return Finding(False, str(error), mend)
    except (KeyError, TypeError, ValueError):
        return Finding(False, "an answer without vectors", mend)
    sizes = {len(v) for v in vectors}
    sound = all(math.isfinite(x) for v in vectors for x in v) and all(any(v) for v in vectors)
    if len(vectors) != len(TEXTS) or len(sizes) != 1 or not sound:
        return Finding(
            False, f"{len(TEXTS)} texts, {len(vectors)} vectors of lengths {sorted(sizes)}, or without direction", mend
        )
    return Finding(True, f"{len(TEXTS)} vectors of {sizes.pop()} numbers")
