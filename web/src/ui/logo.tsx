import type { JSX } from 'preact';

/** Where the grains lie in the pan, in tokens; each with the colour that it has there. */
const GRAINS = ['.ry.', 'gyyr', 'yryg', '.yg.'].flatMap((row, y) =>
  row.split('').flatMap((kind, x) => (kind === '.' ? [] : [{ x, y, kind }])),
);

/** A pan from above, with tokens for rice. */
export function Logo(): JSX.Element {
  return (
    <svg class="logo" viewBox="0 0 40 40" aria-hidden="true">
      <path class="pan" d="M2 15h5v10H2zM33 15h5v10h-5z" />
      <circle class="pan" cx="20" cy="20" r="16" />
      <circle class="rice" cx="20" cy="20" r="13" />
      {GRAINS.map(({ x, y, kind }) => (
        <rect
          key={`${x}${y}`}
          class={`grain ${kind}`}
          x={11 + x * 4.7}
          y={11 + y * 4.7}
          width="3.9"
          height="3.9"
          rx="0.9"
        />
      ))}
    </svg>
  );
}
