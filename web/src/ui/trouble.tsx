import type { JSX } from 'preact';
import { drawing, redraw } from '../state/drawing.js';
import type { Remedy, Trouble } from '../state/trouble.js';

const labels: Record<Remedy, string> = {
  retry: 'Try again',
  'one-by-one': 'Draw one after the other',
};

/** What went wrong, what to do, and the buttons that do it. */
export function TroubleBox({
  trouble: { message, advice, remedies },
  onRemedy,
}: {
  trouble: Trouble;
  onRemedy: (remedy: Remedy) => void;
}): JSX.Element {
  return (
    <div class="trouble">
      <p>
        <strong>{message}</strong> {advice}
      </p>
      {remedies.map((remedy) => (
        <button key={remedy} type="button" onClick={() => onRemedy(remedy)}>
          {labels[remedy]}
        </button>
      ))}
    </div>
  );
}

/** Why there are no more pictures of what is drawn; what the reader stopped is no trouble. */
export function DrawingTrouble(): JSX.Element {
  const { trouble, trails = [], request } = drawing.value ?? {};
  const isTrouble = trouble && trouble.code !== 'aborted';
  // One picture, or pictures that were already taken one by one, cannot be cut into smaller pieces.
  const isWhole = trails.length < 2 || request?.oneByOne;
  return (
    <div role="alert">
      {isTrouble && (
        <TroubleBox
          trouble={isWhole ? withoutSplitting(trouble) : trouble}
          onRemedy={(remedy) => void redraw({ oneByOne: remedy === 'one-by-one' })}
        />
      )}
    </div>
  );
}

const withoutSplitting = (trouble: Trouble): Trouble => ({
  ...trouble,
  remedies: trouble.remedies.filter((remedy) => remedy !== 'one-by-one'),
});
