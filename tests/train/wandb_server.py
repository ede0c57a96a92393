"""A stand-in for the server of Weights & Biases: just enough that ``wandb sync`` sends it a run.

wandb_server.py RUN prints what it was sent.
"""

import gzip
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def synced(folder):
    """Let W&B itself read a run's offline files and send them: [(line in the history, figures)], the config.

    Args:
        folder: the run's.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.history, server.config = [], {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        **os.environ,
        "NO_PROXY": "127.0.0.1",
        "WANDB_API_KEY": "a" * 40,
        "WANDB_BASE_URL": f"http://127.0.0.1:{server.server_port}",
        "WANDB_ERROR_REPORTING": "false",
    }
    files = sorted(str(path) for path in folder.glob("wandb/offline-run-*"))
    command = [sys.executable, "-m", "wandb", "sync", *files]
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=100, cwd=folder
        )
    finally:
        server.shutdown()
        server.server_close()
    if ended.returncode != 0:
        sys.exit(ended.stderr)
    return server.history, server.config


class Handler(BaseHTTPRequestHandler):
    """Answers GraphQL and takes the stream of history."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path.endswith("/graphql"):
            answer = {"data": self.answer(json.loads(body))}
        else:
            answer = {"exitcode": None, "limits": {}}
            if self.path.endswith("/file_stream"):
                self.take(json.loads(body).get("files", {}).get("wandb-history.jsonl"))
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST

    def take(self, sent):
        if sent is not None:
            lines = enumerate(sent["content"], sent["offset"])
            self.server.history += [(number, json.loads(line)) for number, line in lines]

    def answer(self, query):
        name, variables = query.get("operationName") or query["query"], query.get("variables") or {}
        project = {"id": "p", "name": "spanmix", "entity": {"id": "e", "name": "somebody"}}
        if "RunResumeStatus" in name:
            return {"model": project | {"bucket": self.bucket()} if self.server.history else None}
        if "UpsertBucket" in name:
            self.server.config |= json.loads(variables.get("config") or "{}")
            bucket = {"id": "b", "name": variables["name"], "displayName": variables["name"], "config": "{}"}
            bucket |= {"project": project, "historyLineCount": len(self.server.history)}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if "CreateRunFiles" in name:
            url = f"http://127.0.0.1:{self.server.server_port}/upload"
            files = [{"name": file, "uploadUrl": url} for file in variables["files"]]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        return {}

    def bucket(self):
        """What the server has of the run so far."""
        last = json.dumps(self.server.history[-1][1])
        lines = {"logLineCount": 0, "historyLineCount": len(self.server.history), "eventsLineCount": 0}
        tails = {"historyTail": json.dumps([last]), "eventsTail": "[]", "summaryMetrics": last}
        names = {"id": "b", "name": "b", "displayName": "b", "config": "{}", "tags": [], "notes": None}
        return names | lines | tails | {"wandbConfig": json.dumps({"t": 1})}

    def log_message(self, *arguments):
        """Be quiet."""


if __name__ == "__main__":
    print(json.dumps(synced(Path(sys.argv[1]).resolve())))
