import type { JSX } from 'preact';
import { shownPicture } from '../../state/drawing.js';
import { snapshot, stepFacts } from '../../state/inspection.js';
import { shown } from '../../state/stage.js';
import { LineChart } from '../line-chart.js';

/** How the picture settles: fewer tokens change, and the model gets surer of them. */
export function StepChart(): JSX.Element {
  const facts = stepFacts.value;
  const count = shown.value!.trails[shownPicture.value].tokens[0].length;
  return (
    <section class="broad" aria-label="Steps">
      <LineChart
        label="Changed tokens and mean entropy by step"
        xLabel="Step"
        fromZero
        x={facts.map((_, i) => i + 1)}
        lines={[
          {
            label: 'Changed, %',
            values: facts.map(({ changed }) => (changed === null ? null : (100 * changed) / count)),
          },
          { label: 'Entropy, nats', values: facts.map(({ meanEntropy }) => meanEntropy), axis: 'right' },
        ]}
        mark={snapshot.value!.step + 1}
      />
      <p class="note">All but the last step put noise back at some tokens, so those change too.</p>
    </section>
  );
}
