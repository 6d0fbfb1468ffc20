import { useSignal } from '@preact/signals';
import type { RgbaImage } from 'paella';
import type { JSX } from 'preact';
import { Picture } from '../picture.js';

/** Two pictures of one size, one over the other up to a line that is moved across. */
export function Compare({ before, after }: { before: RgbaImage; after: RgbaImage }): JSX.Element {
  const split = useSignal(50);
  return (
    <div class="compare" style={{ '--split': `${split.value}%` }}>
      <Picture image={after} label="After" />
      <div class="before">
        <Picture image={before} label="Before" />
      </div>
      <input
        type="range"
        min="0"
        max="100"
        value={split.value}
        aria-label="Before and after"
        aria-valuetext={`${split.value} % before`}
        onInput={(event) => (split.value = event.currentTarget.valueAsNumber)}
      />
      <div class="divider" />
    </div>
  );
}
