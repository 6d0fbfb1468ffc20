/** A reader of TFRecord files and protocol buffers that shares no code with the writer. */

export type Field = { field: number; value: number | Uint8Array };

/** CRC-32C bit by bit, masked as TFRecord does it. */
function maskedCrc(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** @throws Error if a checksum is wrong */
export function parseRecords(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const records: Uint8Array[] = [];
  for (let at = 0; at < file.length;) {
    const length = Number(view.getBigUint64(at, true));
    const data = file.subarray(at + 12, at + 12 + length);
    if (view.getUint32(at + 8, true) !== maskedCrc(file.subarray(at, at + 8))) throw new Error('length');
    if (view.getUint32(at + 12 + length, true) !== maskedCrc(data)) throw new Error('data');
    records.push(data);
    at += 16 + length;
  }
  return records;
}

/** The fields of a message: numbers, and bytes that may be texts or messages. */
export function parseFields(message: Uint8Array): Field[] {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const fields: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    const [field, wire] = [key >>> 3, key & 7];
    if (wire === 0) fields.push({ field, value: varint() });
    else if (wire === 1) fields.push({ field, value: view.getFloat64((at += 8) - 8, true) });
    else if (wire === 5) fields.push({ field, value: view.getFloat32((at += 4) - 4, true) });
    else if (wire === 2) {
      const length = varint();
      fields.push({ field, value: message.subarray(at, (at += length)) });
    } else throw new Error(`wire type ${wire}`);
  }
  return fields;
}
