"""Texts that a dictionary learns from: texts.py PAIRS OUT, a seeded mixture, one JSON line each.

A text is a pair written out: a title and its abstract, a word and its gloss, a question and its
answer. No corpus of a bench is among them, and nothing in the form of LIMIT's documents.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from random import Random

COUNTS = {  # of each file so many pairs: about 4 million word pieces
    "paper_title_abstract": 7000,
    "medquad": 3000,
    "debian_descriptions": 6000,
    "wordnet": 45000,
    "opentrivia": 10000,
    "squad_sentence": 6000,
}


def main(pairs: Path, out: Path) -> None:
    random = Random(0)
    texts: list[str] = []
    for name, count in COUNTS.items():
        with gzip.open(pairs / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
            rows = [json.loads(line) for line in stream]
        for row in random.sample(rows, count):
            texts.append(f"{row['query'].rstrip('.')}. {row['positive']}")
    random.shuffle(texts)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps({"text": text}) + "\n" for text in texts)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
