"""`trivet cache`: what is kept to save time, and how to be rid of it."""

from __future__ import annotations

import argparse
import time


def run(argv: list[str]) -> int:
    """List the vectors that are kept, or delete them."""
    parser = argparse.ArgumentParser(
        prog="trivet cache",
        description="List the vectors that evaluations keep, the last used first, or delete them.",
    )
    parser.add_argument("--clear", nargs="*", metavar="ENTRY", help="delete all, or the named ones")
    parser.add_argument("--folder", help="the folder of entries (default in $TRIVET_CACHE)")
    flags = parser.parse_args(argv)

    from trivet.core.errors import TrivetError, nearest
    from trivet.retrieval.cache import Cache

    cache = Cache(folder=flags.folder)
    entries = {entry.path.name: entry for entry in cache.entries()}
    if flags.clear is None:
        print(f"{cache.root}: {len(entries)} entries")
        for name, entry in entries.items():
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
            facts = entry.facts
            what = " ".join(f"{k}={facts[k]}" for k in ("kind", "model", "length") if k in facts)
            print(f"{name}  {entry.size / 2**20:8.1f} MiB  {used}  {what}")
        return 0
    unknown = [name for name in flags.clear if name not in entries]
    if unknown:
        fix = nearest(unknown[0], entries)
        raise TrivetError(f"no entry {unknown[0]}", where=str(cache.root), fix=fix)
    wanted = [entries[name] for name in flags.clear] or list(entries.values())
    freed = 0
    for entry in wanted:
        if entry.remove():
            freed += entry.size
        else:
            print(f"{entry.path.name}: in use, kept")
    print(f"{freed / 2**20:.1f} MiB freed")
    return 0
