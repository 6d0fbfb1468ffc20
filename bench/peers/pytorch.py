"""A case's operations in PyTorch on the processor, for pytorch.mjs. Commands come on stdin, one a line, and each is
answered by one line of JSON, `{"error": ...}` where it fails:

    version      of PyTorch
    load FILE    a safetensors file of inputs, weights and constants, with the operations in its metadata
    run N        computes N times, or takes N training steps
    read         the numbers that the last run gave, as base64 of f32
    cpu          milliseconds of processor time so far
"""

import base64
import json
import struct
import sys
import time

import torch
import torch.nn.functional as F

# Activations are [b,h,w,c]: seen as [b,c,h,w] they are what PyTorch calls channels last, and nothing is copied.
first = lambda x: x.permute(0, 3, 1, 2)
last = lambda x: x.permute(0, 2, 3, 1)


def matmul(a, b, options={}):
    a = a.transpose(-1, -2) if options.get("transposeA") else a
    b = b.transpose(-1, -2) if options.get("transposeB") else b
    bias = options.get("bias")
    if bias is not None and b.dim() == 2:
        return F.linear(a, b.t(), bias)
    return torch.matmul(a, b) if bias is None else torch.matmul(a, b) + bias


def attention(q, k, v, heads):
    split = lambda x: x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)
    return F.scaled_dot_product_attention(split(q), split(k), split(v)).transpose(1, 2).reshape(q.shape)


def conv2d(x, weight, options):
    stride, padding, groups = options.get("stride", 1), options.get("padding", 0), options.get("groups", 1)
    weight = weight.permute(3, 2, 0, 1)
    return last(F.conv2d(first(x), weight, options.get("bias"), stride, padding, 1, groups))


def conv_transpose2d(x, weight, options):
    weight = weight.permute(2, 3, 0, 1)
    return last(F.conv_transpose2d(first(x), weight, options.get("bias"), options["stride"], options["padding"]))


OPS = {
    "matmul": matmul,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "sqrt": torch.sqrt,
    "gelu": F.gelu,
    "silu": F.silu,
    "sum": lambda x, axes: x.sum(axes, keepdim=True),
    "mean": lambda x, axes: x.mean(axes, keepdim=True),
    "layerNorm": lambda x, eps: F.layer_norm(x, x.shape[-1:], eps=eps),
    "softmax": lambda x: x.softmax(-1),
    "attention": attention,
    "conv2d": conv2d,
    "convTranspose2d": conv_transpose2d,
    "padEdge": lambda x: last(F.pad(first(x), (1, 1, 1, 1), mode="replicate")),
    "concat": lambda xs, axis: torch.cat(xs, axis),
    "reshape": lambda x, shape: x.reshape(shape),
    "transpose": lambda x, order: x.permute(order),
    "gather": lambda table, indices: F.embedding(indices.long(), table),
    "argmax": lambda x: x.argmax(-1),
    "crossEntropy": lambda logits, targets: F.cross_entropy(logits, targets.long()),
}


class Case:
    def __init__(self, path):
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
            data = bytearray(file.read())
        self.graph = json.loads(header.pop("__metadata__")["graph"])
        kinds = {"F32": torch.float32, "U32": torch.int32, "I32": torch.int32}
        self.values = [None] * len(header)
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            flat = torch.frombuffer(data, dtype=kinds[entry["dtype"]], offset=begin, count=(end - begin) // 4)
            self.values[int(name)] = flat.reshape(entry["shape"]).clone()
        self.train = self.graph.get("train")
        self.result = None
        if self.train:
            count = self.train["inputs"]
            self.weights = [one.requires_grad_() for one in self.values[count - self.train["weights"] : count]]
            self.optimizer = torch.optim.SGD(self.weights, lr=self.train["lr"])

    def compute(self):
        values = list(self.values)

        def resolved(arg):
            if isinstance(arg, list):
                return [resolved(one) for one in arg]
            if isinstance(arg, dict):
                return values[arg["value"]] if "value" in arg else {key: resolved(one) for key, one in arg.items()}
            return arg

        for step in self.graph["ops"]:
            values.append(OPS[step["op"]](*[resolved(arg) for arg in step["args"]]))
        return values[self.graph["result"]]

    def run(self):
        if not self.train:
            with torch.no_grad():
                self.result = self.compute()
            return
        self.optimizer.zero_grad()
        loss = self.compute()
        loss.sum().backward()
        self.optimizer.step()
        self.result = loss.detach()


def main():
    case = None
    for line in sys.stdin:
        command, *rest = line.split()
        answer = {}
        try:
            if command == "version":
                answer = {"version": torch.__version__}
            elif command == "load":
                case = Case(rest[0])
            elif command == "run":
                for _ in range(int(rest[0])):
                    case.run()
            elif command == "read":
                numbers = case.result.float().contiguous().numpy().tobytes()
                answer = {"numbers": base64.b64encode(numbers).decode()}
            elif command == "cpu":
                answer = {"ms": time.process_time() * 1000}
        except Exception as error:
            answer = {"error": str(error).strip().split("\n")[0] or type(error).__name__}
        print(json.dumps(answer), flush=True)


main()
