import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useId } from 'preact/hooks';
import { type Snapshot, largestEntropy, stepFacts } from '../../state/inspection.js';
import { heatColour, heatGradient, tokenColour } from './colours.js';
import { TokenGrid } from './token-grid.js';

/** The tokens after a step, and how sure the model was of each, side by side under one cursor. */
export function Maps({ at }: { at: Snapshot }): JSX.Element {
  const { grid, tokens, before, entropy } = at;
  const cursor = useSignal<number | null>(null);
  const outlines = useSignal(true);
  const readout = useId();
  const { changed, meanEntropy } = stepFacts.value[at.step];
  const most = largestEntropy.value;
  const isChanged = (index: number): boolean => before !== null && before[index] !== tokens[index];
  return (
    <>
      <div class="maps">
        <figure>
          <figcaption>
            <strong>Tokens</strong>{' '}
            {changed === null
              ? 'after the first step, drawn from noise'
              : `${changed} of ${tokens.length} changed in this step`}
          </figcaption>
          <TokenGrid
            label="Tokens"
            {...{ readout, grid, cursor }}
            colourOf={(index) => tokenColour(tokens[index])}
            isOutlined={outlines.value ? isChanged : undefined}
          />
          <label class="check">
            <input
              type="checkbox"
              checked={outlines.value}
              onChange={(event) => (outlines.value = event.currentTarget.checked)}
            />{' '}
            Outline what changed
          </label>
        </figure>
        <figure>
          <figcaption>
            <strong>Entropy</strong>{' '}
            {meanEntropy === null ? 'not measured yet' : `${meanEntropy.toFixed(2)} nats on average`}
          </figcaption>
          {entropy ? (
            <>
              <TokenGrid
                label="Entropy of each token"
                {...{ readout, grid, cursor }}
                colourOf={(index) => heatColour(entropy[index] / most)}
              />
              <div class="scale">
                <span>0, certain</span>
                <span class="ramp" style={{ background: heatGradient }} />
                <span>{most.toFixed(1)} nats</span>
              </div>
            </>
          ) : (
            <div class="unmeasured" style={{ aspectRatio: `${grid[1]} / ${grid[0]}` }}>
              Draw again and measure to see how sure the model was of each token.
            </div>
          )}
        </figure>
      </div>
      <p id={readout} class="readout" role="status">
        {cursor.value === null
          ? 'Point at a token, or go to it with the arrow keys, to read it.'
          : describe(cursor.value, at)}
      </p>
    </>
  );
}

function describe(index: number, { grid: [, columns], tokens, before, entropy }: Snapshot): string {
  const place = `Row ${Math.floor(index / columns) + 1}, column ${(index % columns) + 1}: token ${tokens[index]}`;
  const change =
    before === null
      ? ''
      : before[index] === tokens[index]
        ? ', as before'
        : `, before it was ${before[index]}`;
  // Rounding may leave a certain token at −0.
  const sure = entropy ? `; entropy ${Math.abs(entropy[index]).toFixed(2)} nats` : '';
  return `${place}${change}${sure}.`;
}
