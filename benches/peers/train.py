"""LoRA steps with Transformers and PEFT: rank 16, all seven linear layers, AdamW at 1e-4, gradients clipped to 1.

The usual way pads on the right and computes logits for every position. With --tuned, batches are of like lengths,
padded on the left, and logits are computed only where a target is predicted. Either way the first batch of the file is
the warm-up, and then every row is trained on once.
"""

import time

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from job import PAD, in_batches, left_padded, metric, parser, read_work, report_peak_memory

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
IGNORED = -100


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--steps", type=int, default=20, help="steps of --batch rows; the first rows of the file")
    arguments.add_argument("--tuned", action="store_true")
    arguments.add_argument("--adapter", help="a folder with the parameters to start from; else PEFT draws them")
    args = arguments.parse_args()
    torch.set_num_threads(args.threads)

    rows = read_work(args)[: args.steps * args.batch]
    warm_up = rows[: args.batch]
    if args.tuned:
        rows = sorted(rows, key=lambda row: len(row["prompt"]) + len(row["target"]))
    batches = in_batches(rows, args.batch)

    model = load(args)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.0)
    loss_of = tuned_loss if args.tuned else usual_loss

    def step(batch):
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    first = step(warm_up)
    started = time.perf_counter()
    for batch in batches:
        last = step(batch)
    seconds = time.perf_counter() - started

    metric("samples_per_s", len(rows) / seconds, "samples/s")
    metric("tokens_per_s", sum(len(row["prompt"]) + len(row["target"]) for row in rows) / seconds, "tokens/s")
    metric("first_loss", first, "nats per token")
    metric("last_loss", last, "nats per token")
    report_peak_memory()


def load(args):
    base = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    if args.adapter:
        model = PeftModel.from_pretrained(base, args.adapter, is_trainable=True)
    else:
        model = get_peft_model(base, LoraConfig(r=16, lora_alpha=32, target_modules=MODULES))
    return model.train()


def usual_loss(model, batch):
    """The mean over target tokens, as a collator for causal language models would have it."""
    rows = [row["prompt"] + row["target"] for row in batch]
    width = max(map(len, rows))
    filler = [width - len(row) for row in rows]
    learnt = [[IGNORED] * len(row["prompt"]) + row["target"] for row in batch]
    return model(
        input_ids=torch.tensor([row + [PAD] * n for row, n in zip(rows, filler)]),
        attention_mask=torch.tensor([[1] * len(row) + [0] * n for row, n in zip(rows, filler)]),
        labels=torch.tensor([row + [IGNORED] * n for row, n in zip(learnt, filler)]),
    ).loss


def tuned_loss(model, batch):
    """The same mean, with logits for the last columns alone."""
    ids, mask = map(torch.tensor, left_padded([row["prompt"] + row["target"] for row in batch]))
    columns = max(len(row["target"]) for row in batch)
    labels = torch.tensor([[IGNORED] * (columns - len(row["target"])) + row["target"] for row in batch])
    logits = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        logits_to_keep=columns + 1,
    ).logits
    # A column predicts the next one. Flat, because sums over a strided vocabulary lose four digits.
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


if __name__ == "__main__":
    main()
