"""Ten million pairs through Source and Mixture: does memory stay flat?

python experiments/001-ten-million-pairs/run.py --rows 10000000 --folder /tmp/pairs
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_WORDS = np.array([f"word{i}" for i in range(50_000)], dtype=object)
_GROUP = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--batches", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    numbers: dict[str, object] = {"rows": args.rows, "batches": args.batches, "batch": args.batch}
    path = args.folder / "pairs.parquet"
    if not path.is_file():
        pid = os.fork()  # the writer's memory must not count as the reader's
        if pid == 0:
            write(path, args.rows)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    numbers["parquet_mb"] = round(path.stat().st_size / 1e6)
    numbers |= read(path, args.folder / "cache", args.batches, args.batch)
    print(json.dumps(numbers, indent=2))


def write(path: Path, rows: int) -> None:
    """Queries of 8 words, documents of 30 to 60, each row with its own number in both."""
    random = np.random.default_rng(0)
    schema = pa.schema([("question", pa.string()), ("answer", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, rows, _GROUP):
            size = min(_GROUP, rows - start)
            words = _WORDS[random.integers(0, len(_WORDS), (size, 60))]
            lengths = random.integers(30, 61, size)
            query = [f"{start + i} {' '.join(words[i, :8])}" for i in range(size)]
            answer = [f"{start + i} {' '.join(words[i, : lengths[i]])}" for i in range(size)]
            writer.write_table(pa.table([query, answer], schema=schema))


def read(path: Path, cache: Path, batches: int, batch: int) -> dict[str, object]:
    """Convert, then draw random batches; every row read must carry its own number."""
    from trivet.data.columns import Columns
    from trivet.data.mixture import Mixture
    from trivet.data.sources import Source

    numbers: dict[str, object] = {"import": memory()}
    columns = Columns(query="question", positive="answer")
    source = Source("pairs", columns=columns, path=str(path))
    begin = time.monotonic()
    table = source.open(cache)
    numbers["convert_s"] = round(time.monotonic() - begin, 1)
    numbers["convert"] = memory()
    numbers["arrow_mb"] = round(sum(f.stat().st_size for f in cache.rglob("*.arrow")) / 1e6)
    begin = time.monotonic()
    steps = Mixture([source]).open(cache, batch=batch, seed=1, tables=[table])
    for step in np.random.default_rng(2).integers(0, len(steps), batches):
        got = steps[int(step)]
        for row, query, (document,) in zip(got.rows, got.queries, got.documents, strict=True):
            assert query.split(" ", 1)[0] == document.split(" ", 1)[0] == str(row)
    numbers["sample_s"] = round(time.monotonic() - begin, 1)
    numbers["sample"] = memory()
    return numbers


def memory() -> dict[str, int]:
    """Peak resident memory so far, and what is resident now: its own, and of mapped files."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now = {name: round(int(fields[name].split()[0]) / 1024) for name in ("RssAnon", "RssFile")}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_rss_mb": round(peak / 1024), **{f"{k.lower()}_mb": v for k, v in now.items()}}


if __name__ == "__main__":
    main()
