import { formatError } from './byte-source.js';

/** A class or function the pickle names; it is never run, only recognised. */
export class PickleGlobal {
  constructor(readonly name: string) {}
}

/** What a reduced global or a persistent id becomes: decided by the caller. */
export interface PickleHooks {
  /** Is this global one that the caller knows? Anything else is refused by name. */
  knows(name: string): boolean;
  /** `REDUCE`: the value of calling a known global. */
  reduce(name: string, args: PickleValue[]): PickleValue;
  /** `BINPERSID`: the storage a tuple stands for. */
  persistent(id: PickleValue): PickleValue;
}

/** Dicts become Maps; tuples and lists become arrays; integers beyond 2^53 bigints. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleGlobal
  | PickleObject
  | PickleValue[]
  | Map<PickleValue, PickleValue>;

/** Base of the objects that hooks make: tensors, storages. */
export abstract class PickleObject {
  abstract readonly kind: 'storage' | 'tensor';
}

/** Thrown when the bytes end before the pickle does: more of the file may be needed. */
export class PickleTruncated extends Error {}

/** No number in a checkpoint needs more: PyTorch's own magic number has 10 bytes. */
const MAX_LONG_BYTES = 64;

/**
 * A tensor takes about 45 opcodes, so this is 46000 tensors. Without a limit a small deflated file could ask for
 * gigabytes of empty dicts, one byte each.
 */
const MAX_STEPS = 2 ** 21;

const utf8 = new TextDecoder();
const MARK = Symbol('mark');
type Slot = PickleValue | typeof MARK;

/**
 * Runs the pickle at the start of `bytes` (protocols 2 to 5) on a stack machine that knows data, and no code:
 * dicts, lists, tuples, strings, numbers, and the globals that `hooks` names. It never recurses, never
 * allocates by a length that the bytes do not cover, takes time linear in the bytes, and stops at two million
 * opcodes.
 *
 * @param name what errors call the file.
 * @returns the value and how many bytes it took.
 * @throws PaellaError `format` for a global or opcode outside of that, PickleTruncated if the bytes run out.
 */
export function unpickle(
  name: string,
  bytes: Uint8Array,
  hooks: PickleHooks,
): { value: PickleValue; end: number } {
  const machine = new Unpickler(name, bytes, hooks);
  return { value: machine.run(), end: machine.at };
}

class Unpickler {
  at = 0;
  private readonly view: DataView;
  private readonly stack: Slot[] = [];
  private readonly memo = new Map<number, PickleValue>();

  constructor(
    private readonly name: string,
    private readonly bytes: Uint8Array,
    private readonly hooks: PickleHooks,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  run(): PickleValue {
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      const opcode = this.u8();
      if (opcode === 0x2e) return this.pop(); // STOP
      this.step(opcode);
    }
    throw this.broken(`it has more than ${MAX_STEPS} steps`);
  }

  private step(opcode: number): void {
    switch (opcode) {
      case 0x80: // PROTO
        if (this.u8() > 5) throw this.broken('it has a protocol newer than 5');
        return;
      case 0x95: // FRAME: only a hint for readers
        return void this.take(8);
      case 0x28: // MARK
        return void this.stack.push(MARK);
      case 0x30: // POP
        return void this.stack.pop();

      case 0x4e: // NONE
        return this.push(null);
      case 0x88: // NEWTRUE
        return this.push(true);
      case 0x89: // NEWFALSE
        return this.push(false);
      case 0x4b: // BININT1
        return this.push(this.u8());
      case 0x4d: // BININT2
        return this.push(this.view.getUint16(this.take(2), true));
      case 0x4a: // BININT
        return this.push(this.view.getInt32(this.take(4), true));
      case 0x8a: // LONG1
        return this.push(this.long(this.u8()));
      case 0x8b: // LONG4
        return this.push(this.long(this.u32()));
      case 0x47: // BINFLOAT, the one big-endian value
        return this.push(this.view.getFloat64(this.take(8), false));

      case 0x58: // BINUNICODE
        return this.push(this.text(this.u32()));
      case 0x8c: // SHORT_BINUNICODE
        return this.push(this.text(this.u8()));
      case 0x8d: // BINUNICODE8
        return this.push(this.text(this.u64()));
      case 0x54: // BINSTRING, a Python 2 str
        return this.push(this.text(this.u32()));
      case 0x55: // SHORT_BINSTRING
        return this.push(this.text(this.u8()));
      case 0x42: // BINBYTES
        return this.push(this.blob(this.u32()));
      case 0x43: // SHORT_BINBYTES
        return this.push(this.blob(this.u8()));
      case 0x8e: // BINBYTES8
        return this.push(this.blob(this.u64()));

      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        return this.push([]);
      case 0x6c: // LIST
      case 0x74: // TUPLE
        return this.push(this.popMark());
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.push(this.popMany(opcode - 0x84));
      case 0x61: // APPEND
        return this.append([this.pop()]);
      case 0x65: // APPENDS
        return this.append(this.popMark());
      case 0x7d: // EMPTY_DICT
        return this.push(new Map());
      case 0x64: // DICT
        return this.makeDict();
      case 0x73: // SETITEM
        return this.setItems(this.popMany(2));
      case 0x75: // SETITEMS
        return this.setItems(this.popMark());

      case 0x71: // BINPUT
        return void this.memo.set(this.u8(), this.top());
      case 0x72: // LONG_BINPUT
        return void this.memo.set(this.u32(), this.top());
      case 0x94: // MEMOIZE
        return void this.memo.set(this.memo.size, this.top());
      case 0x68: // BINGET
        return this.recall(this.u8());
      case 0x6a: // LONG_BINGET
        return this.recall(this.u32());

      case 0x63: // GLOBAL
        return this.global(this.line(), this.line());
      case 0x93: // STACK_GLOBAL
        return this.stackGlobal();
      case 0x52: // REDUCE
        return this.reduce();
      case 0x51: // BINPERSID
        return this.push(this.hooks.persistent(this.pop()));
      case 0x62: // BUILD
        return this.build();
      default:
        throw this.broken(`it uses opcode 0x${opcode.toString(16)}, which no state dict needs`);
    }
  }

  private global(module: string, attribute: string): void {
    const name = `${module}.${attribute}`;
    if (!this.hooks.knows(name)) {
      throw formatError(
        this.name,
        `it needs the Python object ${name}, which is not part of a state dict and is not run here`,
        'If you trust the file, load it in PyTorch and save only model.state_dict()',
      );
    }
    this.push(new PickleGlobal(name));
  }

  private stackGlobal(): void {
    const [module, attribute] = this.popMany(2);
    if (typeof module !== 'string' || typeof attribute !== 'string') {
      throw this.broken('it names a global by something else than text');
    }
    this.global(module, attribute);
  }

  private reduce(): void {
    const [callable, args] = this.popMany(2);
    if (!(callable instanceof PickleGlobal) || !Array.isArray(args)) {
      throw this.broken('it calls something that is not a function');
    }
    this.push(this.hooks.reduce(callable.name, args));
  }

  /** `BUILD` sets attributes: a state dict's `_metadata` of layer versions, which nothing here needs. */
  private build(): void {
    this.pop();
    if (!(this.top() instanceof Map)) throw this.broken('it sets attributes of something that is not a dict');
  }

  private append(items: PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw this.broken('it appends to something that is not a list');
    for (const item of items) list.push(item);
  }

  private makeDict(): void {
    const items = this.popMark();
    this.push(new Map());
    this.setItems(items);
  }

  private setItems(items: PickleValue[]): void {
    const dict = this.top();
    if (!(dict instanceof Map) || items.length % 2)
      throw this.broken('it sets items of something that is not a dict');
    for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
  }

  private recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) throw this.broken(`it recalls value ${index}, which it never stored`);
    this.push(value);
  }

  private push(value: PickleValue): void {
    this.stack.push(value);
  }

  private top(): PickleValue {
    const slot = this.stack.at(-1);
    if (slot === undefined || slot === MARK) throw this.broken('it takes from an empty stack');
    return slot;
  }

  private pop(): PickleValue {
    const value = this.top();
    this.stack.pop();
    return value;
  }

  private popMany(count: number): PickleValue[] {
    const values = Array.from({ length: count }, () => this.pop());
    return values.toReversed();
  }

  private popMark(): PickleValue[] {
    const mark = this.stack.lastIndexOf(MARK);
    if (mark < 0) throw this.broken('it closes a group that it never opened');
    const values = this.stack.splice(mark + 1) as PickleValue[];
    this.stack.pop();
    return values;
  }

  /** Advances over `length` bytes and returns where they begin. */
  private take(length: number): number {
    if (length > this.bytes.length - this.at) throw new PickleTruncated();
    const start = this.at;
    this.at += length;
    return start;
  }

  private u8 = (): number => this.bytes[this.take(1)];
  private u32 = (): number => this.view.getUint32(this.take(4), true);
  private u64 = (): number => Number(this.view.getBigUint64(this.take(8), true));
  private blob = (length: number): Uint8Array => this.bytes.subarray(this.take(length), this.at);
  private text = (length: number): string => utf8.decode(this.blob(length));

  /** A text line of protocol 0, as `GLOBAL` has two of. */
  private line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) throw new PickleTruncated();
    const text = this.text(end - this.at);
    this.at++;
    return text;
  }

  /** A little-endian two's-complement integer. */
  private long(length: number): number | bigint {
    if (length > MAX_LONG_BYTES) throw this.broken(`it holds a number of ${length} bytes`);
    let value = 0n;
    const bytes = this.blob(length);
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
    value = BigInt.asIntN(8 * length, value);
    return BigInt(Number(value)) === value && Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  private broken(message: string) {
    return formatError(
      this.name,
      `its pickle cannot be read at byte ${this.at}: ${message}`,
      'If the file is whole, load it in PyTorch and save only model.state_dict()',
    );
  }
}
