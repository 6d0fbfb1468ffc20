/** Three digits, and no exponent. */
export function short(value: number): string {
  return value >= 100 || value === 0 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

export const percent = (share: number): string => `${Math.round(100 * share)} %`;

export const mebibytes = (bytes: number): string => `${short(bytes / 2 ** 20)} MiB`;
