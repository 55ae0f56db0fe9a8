"""Reading prompts, or answering them greedily, with llama.cpp through its own server on the loopback address.

--new 1 reads: the time until the first token, which needs the logits after the prompt. More answer, and the end of a
turn does not stop them. A slot of the server keeps its last prompt: what the next one shares with it is not computed
again, unless --plain is given.

--dump: with --new 1 the most probable next tokens after the first prompts, `[[[id, natural-log probability]]]`; else
all answers, `[[id]]`.
"""

import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import xllamacpp

from job import dump, metric, parser, read_work, report_peak_memory

DUMPED, MOST_PROBABLE = 4, 50
CONTEXT = 2048  # of each slot


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--parallel", type=int, default=8, help="prompts that are worked on side by side")
    arguments.add_argument("--new", type=int, default=1, help="tokens of each answer")
    arguments.add_argument("--plain", action="store_true", help="compute every prompt in full")
    args = arguments.parse_args()
    prompts = [row["prompt"] for row in read_work(args)]
    server = start(args)

    def complete(prompt, **options):
        body = {
            "prompt": prompt,
            "n_predict": args.new,
            "temperature": 0,
            "ignore_eos": True,
            "cache_prompt": not args.plain,
            "return_tokens": True,
            **options,
        }
        head = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{server.listening_address}/completion", json.dumps(body).encode(), head)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    complete(prompts[0], n_predict=1)
    with ThreadPoolExecutor(args.parallel) as pool:
        started = time.perf_counter()
        answers = list(pool.map(complete, prompts))
        seconds = time.perf_counter() - started

    metric("prompts_per_s", len(prompts) / seconds, "prompts/s")
    metric("tokens_per_s", sum(map(len, prompts)) / seconds, "prompt tokens/s")
    metric("new_tokens_per_s", sum(len(answer["tokens"]) for answer in answers) / seconds, "new tokens/s")
    report_peak_memory()
    if args.dump and args.new == 1:
        dump(args, [most_probable(complete(prompt, n_probs=MOST_PROBABLE)) for prompt in prompts[:DUMPED]])
    else:
        dump(args, [answer["tokens"] for answer in answers])


def start(args):
    params = xllamacpp.CommonParams()
    params.model.path = args.model
    params.n_ctx = CONTEXT * args.parallel
    params.n_parallel = args.parallel
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = args.threads
    params.cpuparams_batch.n_threads = args.threads
    params.hostnames = ["127.0.0.1"]
    params.warmup = False
    # No store of whole prompts beside the slots: every prompt of a workload is new.
    params.cache_ram_mib = 0
    return xllamacpp.Server(params)


def most_probable(answer):
    first = answer["completion_probabilities"][0]["top_logprobs"]
    return [[token["id"], token["logprob"]] for token in first]


if __name__ == "__main__":
    main()
