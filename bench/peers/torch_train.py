"""One training step in PyTorch on the processor, for train.mjs: `python3 torch_train.py case.safetensors THREADS`.

The file holds weights (`weights.*`) and inputs (`inputs.*`); its metadata says which case it is. Commands come on
stdin, one a line, and each is answered by one line of JSON:

    load       answers when the model is ready to be trained
    steps N    takes N steps; answers their losses, milliseconds and processor time, and the peak memory so far
"""

import json
import resource
import struct
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(int(sys.argv[2]))


class Norm(nn.Module):
    """Layer norm over channels without an affine part; pictures are [B,C,H,W] outside of it."""

    def forward(self, x):
        return over_channels(x, lambda rows: F.layer_norm(rows, rows.shape[-1:], eps=1e-6))


def over_channels(x, apply):
    return apply(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResponseNorm(nn.Module):
    """ConvNeXt V2's global response norm, on [B,H,W,C]."""

    def __init__(self, c):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, c))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, c))

    def forward(self, x):
        strength = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
        relative = strength / (strength.mean(dim=-1, keepdim=True) + 1e-6)
        return self.gamma * (x * relative) + self.beta + x


class ResBlock(nn.Module):
    def __init__(self, c, c_skip=0, kernel=3):
        super().__init__()
        self.depthwise = nn.Conv2d(c + c_skip, c, kernel, padding=kernel // 2, groups=c)
        self.channelwise = nn.Sequential(
            nn.Linear(c, 4 * c), nn.GELU(), ResponseNorm(4 * c), nn.Identity(), nn.Linear(4 * c, c)
        )

    def forward(self, x, skip=None, **_):
        mixed = self.depthwise(x if skip is None else torch.cat([x, skip], dim=1))
        return x + over_channels(Norm()(mixed), self.channelwise)


class TimestepBlock(nn.Module):
    def __init__(self, c, c_r):
        super().__init__()
        self.mapper = nn.Linear(c_r, 2 * c)

    def forward(self, x, level, **_):
        scale, shift = self.mapper(level)[:, :, None, None].chunk(2, dim=1)
        return x * (1 + scale) + shift


class Attention(nn.Module):
    def __init__(self, c, heads):
        super().__init__()
        self.attn = nn.MultiheadAttention(c, heads, batch_first=True)

    def forward(self, x, text):
        own = x.flatten(2).transpose(1, 2)
        keys = torch.cat([own, text], dim=1)
        return self.attn(own, keys, keys, need_weights=False)[0].transpose(1, 2).reshape(x.shape)


class AttnBlock(nn.Module):
    def __init__(self, c, c_cond, heads):
        super().__init__()
        self.attention = Attention(c, heads)
        self.kv_mapper = nn.Sequential(nn.SiLU(), nn.Linear(c_cond, c))

    def forward(self, x, text, **_):
        return x + self.attention(Norm()(x), self.kv_mapper(text))


class Resample(nn.Sequential):
    def forward(self, x, **_):
        return super().forward(x)


class Paella(nn.Module):
    """The token U-Net under the released checkpoints' names (arXiv 2211.07292, third version)."""

    def __init__(self, config):
        super().__init__()
        hidden, cond, patch = config["c_hidden"], config["c_cond"], config["patch_size"]
        self.c_r = config["c_r"]
        self.byt5_mapper = nn.Linear(config["byt5_embd"], cond)
        self.clip_mapper = nn.Linear(config["clip_embd"], cond * config["clip_seq_len"])
        self.clip_image_mapper = nn.Linear(config["clip_embd"], cond * config["clip_seq_len"])
        self.in_mapper = nn.Sequential(nn.Embedding(config["num_labels"], config["c_in"]))
        to_hidden = nn.Conv2d(config["c_in"] * patch**2, hidden[0], 1)
        self.embedding = nn.Sequential(nn.PixelUnshuffle(patch), to_hidden, Norm())

        def body(level, c_skip=0):
            c, blocks = hidden[level], []
            for letter in config["level_config"][level] * config["blocks"][level]:
                if letter == "C":
                    blocks.append(ResBlock(c, 0 if blocks else c_skip, config["kernel_size"]))
                elif letter == "T":
                    blocks.append(TimestepBlock(c, self.c_r))
                else:
                    blocks.append(AttnBlock(c, cond, config["nhead"][level]))
            return blocks

        last = len(hidden) - 1
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        for level in range(last + 1):
            enter = [Resample(Norm(), nn.Conv2d(hidden[level - 1], hidden[level], 2, 2))] if level else []
            self.down_blocks.append(nn.ModuleList(enter + body(level)))
        for level in range(last, -1, -1):
            conv = nn.ConvTranspose2d(hidden[level], hidden[level - 1], 2, 2) if level else None
            leave = [Resample(Norm(), conv)] if conv else []
            self.up_blocks.append(nn.ModuleList(body(level, 0 if level == last else hidden[level]) + leave))
        from_hidden = nn.Conv2d(hidden[0], config["c_out"] * patch**2, 1)
        self.clf = nn.Sequential(Norm(), from_hidden, nn.PixelShuffle(patch))
        self.out_mapper = nn.Sequential(Norm(), nn.Conv2d(config["c_out"], config["num_labels"], 1, bias=False))

    def level_embedding(self, r):
        half = self.c_r // 2
        step = torch.log(torch.tensor(10000.0)) / (half - 1)
        angles = (r * 10000)[:, None] * torch.exp(torch.arange(half) * -step)[None]
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    def forward(self, tokens, r, byt5):
        embedded = self.byt5_mapper(byt5)
        text = F.layer_norm(embedded, embedded.shape[-1:], eps=1e-6)
        given = {"level": self.level_embedding(r), "text": text}
        vectors = self.in_mapper(tokens)
        x = F.layer_norm(vectors, vectors.shape[-1:], eps=1e-6).permute(0, 3, 1, 2)
        x = self.embedding(x)
        skips = []
        for level in self.down_blocks:
            for block in level:
                x = block(x, **given)
            skips.append(x)
        skips.pop()
        for depth, level in enumerate(self.up_blocks):
            for i, block in enumerate(level):
                x = block(x, skip=skips.pop(), **given) if depth and i == 0 else block(x, **given)
        return self.out_mapper(self.clf(x))


class UnetCase:
    """The denoising loss, gradients clipped to 1, AdamW."""

    def __init__(self, options, inputs):
        self.inputs, self.options = inputs, options
        self.model = Paella(options["model"])

    def loss(self):
        noised, target, mask = (self.inputs[key].long() for key in ("noised", "target", "mask"))
        t = self.inputs["t"]
        logits = self.model(noised, t, self.inputs["byt5"])
        rows = F.cross_entropy(logits, target, label_smoothing=self.options["labelSmoothing"], reduction="none")
        weight = 1 - (1 - mask) * (1 - t[:, None, None]) * (1 - 0.3)
        return ((rows * weight).sum((1, 2)) / weight.sum((1, 2))).mean()

    def optimizer(self):
        return torch.optim.AdamW(self.model.parameters(), lr=self.options["lr"])

    def clip(self):
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options["gradClip"])


class BlockCase:
    """A single block, mean squared error, plain gradient descent."""

    def __init__(self, options, inputs):
        self.x, self.target = (inputs[key].permute(0, 3, 1, 2) for key in ("x", "target"))
        self.options = options
        self.model = ResBlock(self.x.shape[1])

    def loss(self):
        return F.mse_loss(self.model(self.x), self.target)

    def optimizer(self):
        return torch.optim.SGD(self.model.parameters(), lr=self.options["lr"])

    def clip(self):
        pass


def read_case(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    options = json.loads(header.pop("__metadata__")["options"])
    kinds = {"F32": torch.float32, "U32": torch.int32, "I32": torch.int32}
    groups = {"weights": {}, "inputs": {}}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(data, dtype=kinds[entry["dtype"]], offset=begin, count=(end - begin) // 4)
        group, key = name.split(".", 1)
        groups[group][key] = flat.reshape(entry["shape"]).clone()
    return options, groups["weights"], groups["inputs"]


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    options, weights, inputs = read_case(sys.argv[1])
    case = {"unet": UnetCase, "block": BlockCase}[options["case"]](options, inputs)
    # Linear layers and norms see channels last either way; so does the convolution then, and nothing is copied.
    case.model.to(memory_format=torch.channels_last)
    case.model.load_state_dict(weights)
    optimizer = case.optimizer()
    idle_mib = peak_mib()
    about = {"version": torch.__version__}

    def steps(count):
        losses, ms, cpu_ms = [], [], []
        for _ in range(count):
            start, cpu_start = time.perf_counter(), time.process_time()
            optimizer.zero_grad()
            loss = case.loss()
            loss.backward()
            case.clip()
            optimizer.step()
            losses.append(loss.item())
            ms.append((time.perf_counter() - start) * 1000)
            cpu_ms.append((time.process_time() - cpu_start) * 1000)
        return {"losses": losses, "ms": ms, "cpuMs": cpu_ms, "peakMiB": peak_mib(), "idleMiB": idle_mib}

    for line in sys.stdin:
        command, *rest = line.split()
        answer = about if command == "load" else steps(int(rest[0]))
        print(json.dumps(answer), flush=True)


main()
