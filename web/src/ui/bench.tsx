import type { JSX } from 'preact';
import { useId } from 'preact/hooks';
import { running } from '../engine/client.js';
import type { CaseResult } from '../engine/protocol.js';
import { type Benchmark, benchmark, isMeasuring, json, measure, options, stop } from '../state/benchmark.js';
import { phase } from '../state/engine.js';
import { notify } from '../state/notices.js';
import { save } from '../state/saving.js';
import { NumberField, TextField } from './field.js';
import { percent, short } from './numbers.js';
import { ScrollTable } from './scroll-table.js';
import { TroubleBox } from './trouble.js';

const MAX_ROUNDS = 50;

/** Measures the kernels of the engine on this adapter, against what the adapter can do at most. */
export function Bench(): JSX.Element {
  return (
    <div class="bench">
      <section class="wide" aria-label="Kernel benchmark">
        <h2>How fast are the kernels here?</h2>
        <p class="note">
          Every kernel runs at the sizes of the models, several rounds long, and is compared with what this
          adapter can do at most: multiply-adds in registers, and copying. Leave this tab in front; nothing
          else can be drawn meanwhile.
        </p>
        <Controls />
        {benchmark.value && <Status of={benchmark.value} />}
      </section>
      {benchmark.value && benchmark.value.results.length > 0 && <Results of={benchmark.value} />}
    </div>
  );
}

function Controls(): JSX.Element {
  const { filter, rounds } = options.value;
  const isValid = Number.isInteger(rounds) && rounds >= 1 && rounds <= MAX_ROUNDS;
  const isReady = phase.value.kind === 'ready' && running.value === 0 && isValid;
  return (
    <form
      class="bar"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        if (isReady) void measure();
      }}
    >
      <TextField
        label="Only cases named"
        hint="Such as matmul or attention; empty for all."
        value={filter}
        onChange={(value) => (options.value = { ...options.value, filter: value })}
      />
      <NumberField
        label="Rounds"
        min={1}
        max={MAX_ROUNDS}
        value={rounds}
        hint="Medians over so many are shown."
        problem={isValid ? undefined : `A whole number from 1 to ${MAX_ROUNDS}.`}
        onChange={(value) => (options.value = { ...options.value, rounds: value })}
      />
      {isMeasuring.value ? (
        <button type="button" onClick={() => void stop()} disabled={benchmark.value?.state === 'stopping'}>
          Stop
        </button>
      ) : (
        <button type="submit" class="primary" disabled={!isReady}>
          Measure
        </button>
      )}
    </form>
  );
}

function Status({ of: now }: { of: Benchmark }): JSX.Element {
  const { ceilings, total, results, left, trouble } = now;
  return (
    <>
      {isMeasuring.value && (
        <progress
          max={1}
          value={total > 0 ? (results.length + left.length) / total : undefined}
          aria-label="Cases measured"
        />
      )}
      <p role="status">{statusOf(now)}</p>
      {ceilings && (
        <p class="note">
          This adapter: at most {short(ceilings.gflops)} GFLOP/s and {short(ceilings.gbps)} GB/s.
        </p>
      )}
      {left.map(({ name, why }) => (
        <p key={name} class="note">
          Left out: {name}, {why}.
        </p>
      ))}
      <div role="alert">{trouble && <TroubleBox trouble={trouble} onRemedy={() => void measure()} />}</div>
    </>
  );
}

function statusOf({ ceilings, total, results, left, state }: Benchmark): string {
  const done = results.length + left.length;
  if (state === 'running' && !ceilings) return 'Measuring what the adapter can do at most …';
  if (state === 'running') return `Measured ${done} of ${total} cases …`;
  if (state === 'stopping') return 'Stopping after this case …';
  if (state === 'stopped') return `Stopped after ${done} of ${total} cases.`;
  return total === 0 ? 'No case has such a name.' : `Measured ${done} ${done === 1 ? 'case' : 'cases'}.`;
}

function Results({ of: { results } }: { of: Benchmark }): JSX.Element {
  const caption = useId();
  return (
    <section class="wide" aria-labelledby={caption}>
      <h2 id={caption}>Results</h2>
      <ScrollTable label="Results, as a table" columns={['Case', 'ms', 'Speed', 'Ceiling']}>
        <tbody>
          {results.map((result) => (
            <Row key={result.name} result={result} />
          ))}
        </tbody>
      </ScrollTable>
      <p class="note">
        The speed is the one that binds, arithmetic or bytes that must be read and written at least; beside
        it, how much that is of what the adapter can do at most. Small cases fit into caches, which can lift
        them over 100 %.
      </p>
      <div class="row">
        <button type="button" onClick={() => void copy()}>
          Copy JSON
        </button>
        <button
          type="button"
          onClick={() => save(new Blob([json.value!], { type: 'application/json' }), 'paella-bench.json')}
        >
          Download JSON
        </button>
      </div>
    </section>
  );
}

function Row({ result: { name, ours, bound, ceilingShare } }: { result: CaseResult }): JSX.Element {
  const speed = bound === 'compute' ? `${short(ours.gflops)} GFLOP/s` : `${short(ours.gbps)} GB/s`;
  return (
    <tr>
      <th scope="row">{name}</th>
      <td
        title={`From ${short(ours.minMs)}; half of the rounds from ${short(ours.q1Ms)} to ${short(ours.q3Ms)}`}
      >
        {short(ours.ms)}
      </td>
      <td>{speed}</td>
      <td class="share" style={{ '--share': ceilingShare }}>
        {percent(ceilingShare)}
      </td>
    </tr>
  );
}

async function copy(): Promise<void> {
  try {
    await navigator.clipboard.writeText(json.value!);
    notify({ kind: 'info', text: 'The results are in the clipboard.' });
  } catch {
    notify({
      kind: 'error',
      text: 'The browser did not let the page use the clipboard. Download the results instead.',
    });
  }
}
