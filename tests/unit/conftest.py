"""A ledger of rows made by hand, for what reads ledgers."""

import numpy as np
import pytest

from trivet.bench.evaluate import Result
from trivet.bench.ledger import Ledger
from trivet.bench.task import Task
from trivet.core.records import Corpus, Ranking


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger."""
    return Ledger(tmp_path / "results" / "ledger.jsonl")


@pytest.fixture
def add(ledger):
    """A function that adds a row with these scores; without lengths it is a lexical one."""

    def add(label, scores, **given):
        queries = given.get("queries") or [f"q{i}" for i in range(len(scores))]
        relevant = given.get("relevant") or {query: [f"of {query}"] for query in queries}
        documents = sorted({document for found in relevant.values() for document in found})
        size = len(documents)
        task = Task(
            name=given.get("task", "zoo"),
            split=given.get("split", "test"),
            corpus=Corpus(documents, [""] * size, ["text"] * size),
            queries=dict.fromkeys(queries, "a question"),
            qrels={query: dict.fromkeys(relevant[query], 1) for query in queries},
            fingerprint=given.get("data", "f" * 64),
            drop_self=given.get("drop_self", False),
        )
        nothing = np.full((len(queries), 1), -1)
        ranking = Ranking(queries, documents, nothing, nothing.astype(np.float32))
        values = np.array(scores, dtype=np.float64)
        lengths = given.get("lengths", {})
        retriever = {
            "kind": "dense" if lengths else "bm25",
            "model": label,
            "model_key": "key" if lengths else None,
            "precision": "fp32",
            "prompts": given.get("prompts", {"query": ""} if lengths else {}),
            "lengths": lengths,
            "in_domain": [task.name] if given.get("in_domain") else [],
            "trained_on": [],
            "train_seed": given.get("seed"),
        }
        metric = given.get("metric", "ndcg@10")
        result = Result(
            task=task,
            k=given.get("k", 10),
            metrics={metric: float(values.mean())},
            per_query={metric: values},
            ranking=ranking,
            seconds={"index": 0.1},
            retriever=retriever,
        )
        return ledger.add(result, bench=given.get("bench", "animals"), command="c", label=label)

    return add
