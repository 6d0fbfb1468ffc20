/** A colour for every token, always the same; tokens of neighbouring numbers get very different ones. */
export function tokenColour(token: number): string {
  const hue = (token * 137.508) % 360; // the golden angle
  return `hsl(${hue} 62% ${38 + ((token * 7) % 5) * 9}%)`;
}

/** From dark to light, so that it can be read without seeing colours: black, purple, red, saffron, white. */
const HEAT = [
  [12, 8, 32],
  [88, 24, 104],
  [196, 58, 60],
  [244, 168, 44],
  [252, 246, 214],
] as const;

/** @param share from 0 to 1 */
export function heatColour(share: number): string {
  const at = Math.min(1, Math.max(0, share)) * (HEAT.length - 1);
  const low = Math.min(Math.floor(at), HEAT.length - 2);
  const mixed = HEAT[low].map((from, c) => Math.round(from + (at - low) * (HEAT[low + 1][c] - from)));
  return `rgb(${mixed.join(' ')})`;
}

/** The same as a CSS gradient, from left to right. */
export const heatGradient = `linear-gradient(to right, ${HEAT.map((rgb) => `rgb(${rgb.join(' ')})`).join(', ')})`;
