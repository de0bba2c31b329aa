"""Names of companies that there are none of, of six letters, so that each is its own ticker."""

import numpy as np

FIRST = (
    "Bav Cor Dal Dro Fen Gal Hav Jor Kal Lin Lum Mar Mir Nor Orv Pel Qua Rav Sel Sol Tar Tor Ulv Vel Vor Wex Yar Zan"
).split()
LAST = "adi aro bex cor dan edo elo eri fin gor ico ila ios kan lux mor neo ora pax rin tek umo vex ylo zen".split()


def companies(count: int, seed: int) -> list[str]:
    """*count* different names, in an order that *seed* decides; past all 700 of them a letter more is put on."""
    every = [first + last for first in FIRST for last in LAST]
    order = np.random.default_rng(seed).permutation(len(every))
    return [every[order[i % len(every)]] + "abcdefgh"[i // len(every) - 1 : i // len(every)] for i in range(count)]
