"""A loopback stand-in for the model hub: as much of its read API as the real loaders call."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit


class Hub:
    """Repositories by (kind, id): each a folder of files per revision, named by made-up commits."""

    def __init__(self):
        self.repos = {}  # (kind, id) -> {"refs": {branch: commit}, "commits": {commit: files}}
        self.stalled = set()  # paths inside a repository whose content never comes
        self.asked = []  # (method, path)
        self.released = threading.Event()

    def add(self, kind, name, files, branch="main"):
        """Commit files to a branch; the commit it makes."""
        digests = [(path, hashlib.sha1(data).hexdigest()) for path, data in sorted(files.items())]
        commit = hashlib.sha1(json.dumps([kind, name, digests]).encode()).hexdigest()
        repo = self.repos.setdefault((kind, name), {"refs": {}, "commits": {}})
        repo["refs"][branch] = commit
        repo["commits"][commit] = dict(files)
        return commit

    def add_folder(self, kind, name, folder):
        """Commit all files of a folder."""
        found = (path for path in Path(folder).rglob("*") if path.is_file())
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
        return self.add(kind, name, files)


def entry(path, data):
    """A file as the tree and paths-info routes describe it."""
    return {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}


def listing(files, folder, recursive):
    """What stands in a folder of a repository, or None where there is no such folder."""
    inside = f"{folder}/" if folder else ""
    found = {path: data for path, data in files.items() if path.startswith(inside)}
    if folder and not found:
        return None
    plain = {p: d for p, d in found.items() if recursive or "/" not in p[len(inside) :]}
    parents = {p[len(inside) :].rpartition("/")[0] for p in found} - {""}
    folders = {"/".join(p.split("/")[: i + 1]) for p in parents for i in range(p.count("/") + 1)}
    shown = sorted(name for name in folders if recursive or "/" not in name)
    dirs = [{"type": "directory", "path": inside + name, "oid": "0" * 40} for name in shown]
    return dirs + [entry(path, data) for path, data in sorted(plain.items())]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        url = urlsplit(self.path)
        path = unquote(url.path).strip("/")
        self.hub.asked.append((self.command, path))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if path.startswith("api/"):
                kind, rest = path.removeprefix("api/").split("/", 1)
                self.api(kind.removesuffix("s"), rest, parse_qs(url.query), body)
            else:
                self.resolve(path)
        except (KeyError, ValueError):  # a route that this hub does not have
            self.fail("EntryNotFound", "no such route")

    def api(self, kind, rest, query, body):
        parts = rest.split("/")
        name, route, more = "/".join(parts[:2]), parts[2:3], parts[3:]
        if route and route[0] not in ("revision", "tree", "paths-info"):
            return self.fail("EntryNotFound", "no such route")
        found = self.find(kind, name, more[0] if more else "main")
        if found is None:
            return None
        commit, files = found
        if not route or route[0] == "revision":
            siblings = [{"rfilename": path} for path in files]
            info = {"_id": "0", "id": name, "sha": commit, "siblings": siblings}
            return self.send_json({**info, "private": False, "gated": False, "tags": []})
        if route[0] == "tree":
            recursive = query.get("recursive", ["false"])[0].lower() == "true"
            shown = listing(files, "/".join(more[1:]), recursive)
            return self.fail("EntryNotFound", "none") if shown is None else self.send_json(shown)
        if self.headers.get("Content-Type", "").startswith("application/json"):
            wanted = json.loads(body)["paths"]
        else:
            wanted = parse_qs(body.decode())["paths"]
        shown = []
        for path in [wanted] if isinstance(wanted, str) else wanted:
            if path in files:
                shown.append(entry(path, files[path]))
            elif listing(files, path, False):
                shown.append({"type": "directory", "path": path, "oid": "0" * 40})
        return self.send_json(shown)

    def resolve(self, path):
        kind = "model"
        if path.startswith("datasets/"):
            kind, path = "dataset", path.removeprefix("datasets/")
        owner, repo, route, revision, file = path.split("/", 4)
        if route != "resolve":
            return self.fail("EntryNotFound", "no such route")
        found = self.find(kind, f"{owner}/{repo}", revision)
        if found is None:
            return None
        commit, files = found
        if file not in files:
            return self.fail("EntryNotFound", "Entry not found", commit)
        data = files[file]
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": commit}
        stall = file in self.hub.stalled and self.command == "GET"
        return self.send(200, data, headers, stall=stall)

    def find(self, kind, name, revision):
        repo = self.hub.repos.get((kind, name))
        if repo is None:
            return self.fail("RepoNotFound", "Repository not found")
        commit = repo["refs"].get(revision, revision)
        if commit not in repo["commits"]:
            return self.fail("RevisionNotFound", f"Invalid rev id: {revision}")
        return commit, repo["commits"][commit]

    def fail(self, code, message, commit=None):
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        if commit:
            headers["X-Repo-Commit"] = commit
        self.send(404, json.dumps({"error": message}).encode(), headers)

    def send_json(self, value):
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, status, data, headers, stall=False):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if stall:  # the headers and a first part come, the rest never does
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.hub.released.wait()
            self.close_connection = True
        elif self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def serve(hub):
    """The hub at an address of this machine, until the block ends."""
    handler = type("BoundHandler", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        hub.released.set()
        server.shutdown()
        server.server_close()
