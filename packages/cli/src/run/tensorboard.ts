/**
 * TensorBoard's event files: records of protocol buffers (tensorflow/core/util/event.proto), each framed by its length
 * and masked CRC-32C checksums.
 */

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c;
});

/** CRC-32C (Castagnoli). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function masked(bytes: Uint8Array): Buffer {
  const crc = crc32c(bytes);
  const out = Buffer.alloc(4);
  out.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
  return out;
}

function record(data: Uint8Array): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, masked(length), data, masked(data)]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}

/** Channels, as tensorflow.Summary.Image counts them. */
const RGBA = 4;
/** tensorflow.SessionLog.SessionStatus.START */
const SESSION_START = 1;

const tag = (field: number, wire: number): Buffer => varint(field * 8 + wire);
const bytesField = (field: number, bytes: Uint8Array): Buffer =>
  Buffer.concat([tag(field, 2), varint(bytes.length), bytes]);
const intField = (field: number, value: number): Buffer => Buffer.concat([tag(field, 0), varint(value)]);

function doubleField(field: number, value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeDoubleLE(value);
  return Buffer.concat([tag(field, 1), out]);
}

function floatField(field: number, value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return Buffer.concat([tag(field, 5), out]);
}

const event = (seconds: number, step: number, ...rest: Buffer[]): Buffer =>
  record(Buffer.concat([doubleField(1, seconds), intField(2, step), ...rest]));

/** The first record of a file. */
export const fileHeader = (seconds: number): Buffer =>
  event(seconds, 0, bytesField(3, Buffer.from('brain.Event:2')));

/** A run goes on: readers drop what earlier files say of this step and later ones. */
export const restartEvent = (seconds: number, step: number): Buffer =>
  event(seconds, step, bytesField(7, intField(1, SESSION_START)));

/** Numbers of a step. */
export function scalarEvent(seconds: number, step: number, values: Record<string, number>): Buffer {
  const summary = Object.entries(values).map(([name, value]) =>
    bytesField(1, Buffer.concat([bytesField(1, Buffer.from(name)), floatField(2, value)])),
  );
  return event(seconds, step, bytesField(5, Buffer.concat(summary)));
}

/** A picture of a step. */
export function imageEvent(
  seconds: number,
  step: number,
  name: string,
  { width, height, png }: { width: number; height: number; png: Uint8Array },
): Buffer {
  const image = Buffer.concat([
    intField(1, height),
    intField(2, width),
    intField(3, RGBA),
    bytesField(4, png),
  ]);
  const value = Buffer.concat([bytesField(1, Buffer.from(name)), bytesField(4, image)]);
  return event(seconds, step, bytesField(5, bytesField(1, value)));
}
