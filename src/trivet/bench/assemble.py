"""Documents, queries and judgements become a task; what does not fit together is refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from trivet.bench.task import Task
from trivet.core.beir import Judgement
from trivet.core.errors import DataError
from trivet.core.hashing import texts_digest
from trivet.core.records import Corpus

log = logging.getLogger("trivet")


def assemble(
    name: str,
    split: str,
    documents: Iterator[tuple[str, str, str, str]],
    queries: Iterator[tuple[str, str, str]],
    judgements: Iterator[Judgement],
    *,
    where: str,
    drop_self: bool = False,
    lengths: dict[str, int] | None = None,
    prompts: dict[str, str] | None = None,
) -> Task:
    """Read everything; only queries with a relevant document are kept. `where` names the origin."""
    texts = {identifier: text for _, identifier, text in queries}
    corpus = _corpus(documents, where)
    known = set(corpus.ids)
    qrels: dict[str, dict[str, int]] = {}
    for place, query, document, grade in judgements:
        if query not in texts:
            raise DataError(f"query {query} is not in queries", where=place)
        if document not in known:
            raise DataError(f"document {document} is not in the corpus", where=place)
        qrels.setdefault(query, {})[document] = grade
    judged = len(qrels)
    qrels = {query: grades for query, grades in qrels.items() if max(grades.values()) > 0}
    if len(qrels) < judged:
        left_out = judged - len(qrels)
        log.warning("%s: %d queries without a relevant document left out", where, left_out)
    if not qrels:
        raise DataError(f"no query of {split} has a relevant document", where=where)
    kept = {query: texts[query] for query in qrels}
    return Task(
        name=name,
        split=split,
        corpus=corpus,
        queries=kept,
        qrels=qrels,
        fingerprint=texts_digest(_parts(corpus, kept, qrels)),
        drop_self=drop_self,
        lengths=lengths or {},
        prompts=prompts or {},
    )


def _corpus(documents: Iterator[tuple[str, str, str, str]], where: str) -> Corpus:
    corpus = Corpus([], [], [])
    empty = 0
    for _, identifier, title, text in documents:
        corpus.ids.append(identifier)
        corpus.titles.append(title)
        corpus.texts.append(text)
        empty += not (title.strip() or text.strip())
    if not corpus.ids:
        raise DataError("the corpus is empty", where=where)
    if empty:
        log.warning("%s: %d documents have neither title nor text", where, empty)
    return corpus


def _parts(
    corpus: Corpus, queries: dict[str, str], qrels: dict[str, dict[str, int]]
) -> Iterator[str]:
    for column in (corpus.ids, corpus.titles, corpus.texts):
        yield str(len(column))
        yield from column
    for query in sorted(queries):
        yield from (query, queries[query])
        for document in sorted(qrels[query]):
            yield from (document, str(qrels[query][document]))
