"A server on this machine that speaks the completions protocol of OpenAI, with log-probabilities of the prompt; and the function that asks it."
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

import torch

ADDRESS, KEY = "http://127.0.0.1:{}/v1/completions", "a key"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/v1/completions": return self.send_error(404)
        if self.headers["Authorization"] != f"Bearer {KEY}": return self.send_error(401)
        asked = json.loads(body)
        if not (asked.get("echo") and asked.get("logprobs") and asked.get("max_tokens") == 0): return self.send_error(400)
        prompts = [asked["prompt"]] if isinstance(asked["prompt"], str) else asked["prompt"]
        with self.server.lock:
            self.server.calls += 1
            if self.server.before and not self.server.before(self.server.calls): return self.send_error(500)
            choices = [{"index": i, "text": p, "finish_reason": "length", "logprobs": self.server.log_probs(p)} for i, p in enumerate(prompts)]
            self.server.seen.update(prompts)
        choices.reverse()                                                   # the protocol numbers them, and promises no order
        answer = {"id": "cmpl-1", "object": "text_completion", "created": 0, "model": asked["model"], "choices": choices}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *about): pass


class Completions(ThreadingHTTPServer):
    "`seen` counts the prompts that were answered; `before(number of the call)` may refuse a call with an error 500."
    daemon_threads = True

    def __init__(self, model, tokenizer):
        super().__init__(("127.0.0.1", 0), Handler)
        self.model, self.tokenizer = model, tokenizer
        self.lock, self.calls, self.before, self.seen = threading.Lock(), 0, None, Counter()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self): return ADDRESS.format(self.server_port)

    def handle_error(self, *about): pass                                    # whoever asked was killed

    def log_probs(self, prompt):
        tokens = self.tokenizer(prompt, return_offsets_mapping=True)
        ids = torch.tensor(tokens["input_ids"])
        with torch.inference_mode(): p = self.model(ids[None]).logits[0].double().log_softmax(-1)
        own = p[:-1].gather(1, ids[1:, None])[:, 0].tolist()
        return {"tokens": [self.tokenizer.decode(i) for i in ids], "token_logprobs": [None, *own], "text_offset": [a for a, _ in tokens["offset_mapping"]]}


def over_http(address, answer):
    "The function: texts -> log-probabilities of an answer after each."
    head = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}

    def score(texts):
        asked = {"model": "lm", "prompt": [t + answer for t in texts], "max_tokens": 0, "echo": True, "logprobs": 1}
        with urlopen(Request(address, json.dumps(asked).encode(), head), timeout=60) as reply: choices = json.load(reply)["choices"]
        found = [c["logprobs"] for c in sorted(choices, key=lambda c: c["index"])]
        return [sum(p for p, start in zip(f["token_logprobs"], f["text_offset"]) if start >= len(t)) for t, f in zip(texts, found)]
    return score
