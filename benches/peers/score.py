"""Logits of the next token after each prompt with Transformers, in batches of like lengths.

--dump: the logits after the first prompts of the file, `[[float]]`.
"""

import time

import torch
from transformers import AutoModelForCausalLM

from job import dump, in_batches, left_padded, metric, parser, read_work, report_peak_memory

DUMPED = 4


def main():
    args = parser(__doc__).parse_args()
    torch.set_num_threads(args.threads)
    prompts = [row["prompt"] for row in read_work(args)]
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    batches = in_batches(order, args.batch)

    @torch.inference_mode()
    def logits_after(batch):
        ids, mask = map(torch.tensor, left_padded([prompts[i] for i in batch]))
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        return model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=1).logits[:, 0]

    logits_after(batches[0])
    kept = {}
    started = time.perf_counter()
    for batch in batches:
        for i, logits in zip(batch, logits_after(batch)):
            if i < DUMPED:
                kept[i] = logits
    seconds = time.perf_counter() - started

    metric("prompts_per_s", len(prompts) / seconds, "prompts/s")
    metric("tokens_per_s", sum(map(len, prompts)) / seconds, "tokens/s")
    report_peak_memory()
    dump(args, [kept[i].tolist() for i in sorted(kept)])


if __name__ == "__main__":
    main()
