import { useSignal } from '@preact/signals';
import { Fragment, type JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import * as engine from '../../engine/client.js';
import type { EngineInfo, MemoryUse } from '../../engine/protocol.js';
import { drawing } from '../../state/drawing.js';
import { info, phase } from '../../state/engine.js';
import { measurement } from '../../state/inspection.js';
import { mebibytes } from '../numbers.js';

/** The memory that is in use now, what the adapter is and can, and a way to see it recover. */
export function DeviceFacts(): JSX.Element {
  const isReady = phase.value.kind === 'ready';
  return (
    <>
      <section aria-label="Memory">
        <h2>Memory now</h2>
        <Memory />
      </section>
      <section class="broad" aria-label="Device">
        <h2>Device</h2>
        {info.value && <Adapter of={info.value.adapter} />}
        <p class="note">
          Drivers crash, and browsers take devices away. The studio then opens a new one, loads the model
          again, and repeats what was being drawn. To see it happen:
        </p>
        <button type="button" class="danger" disabled={!isReady} onClick={() => void engine.loseDevice()}>
          Lose the device
        </button>
      </section>
    </>
  );
}

function Memory(): JSX.Element {
  const memory = useSignal<MemoryUse | null>(null);
  const { result } = drawing.value ?? {};
  const { kind } = phase.value;
  const { result: measured } = measurement.value ?? {};
  const read = (): void => {
    engine.memory().then(
      (now) => (memory.value = now),
      () => (memory.value = null), // the engine crashed, which the page says elsewhere
    );
  };
  useEffect(read, [result, measured, kind]);
  const now = memory.value;
  return (
    <>
      <dl class="numbers">
        <dt>In use, weights included</dt>
        <dd>{now ? mebibytes(now.liveBytes) : '–'}</dd>
        <dt>Kept for reuse</dt>
        <dd>{now ? mebibytes(now.pooledBytes) : '–'}</dd>
        <dt>Tensors</dt>
        <dd>{now ? now.liveTensors : '–'}</dd>
      </dl>
      <button type="button" onClick={read}>
        Read again
      </button>
    </>
  );
}

function Adapter({ of: adapter }: { of: EngineInfo['adapter'] }): JSX.Element {
  const { name, vendor, architecture, isSoftware, features, limits, subgroupSize } = adapter;
  return (
    <details>
      <summary>{name}</summary>
      <p>Features in use: {features.length > 0 ? features.join(', ') : 'none'}.</p>
      <dl class="numbers">
        <dt>Vendor</dt>
        <dd>{vendor || '–'}</dd>
        <dt>Architecture</dt>
        <dd>{architecture || '–'}</dd>
        <dt>Computes on</dt>
        <dd>{isSoftware ? 'the processor' : 'a GPU'}</dd>
        <dt>Invocations of a subgroup</dt>
        <dd>{subgroupSize || 'varying'}</dd>
        {Object.entries(limits).map(([limit, value]) => (
          <Fragment key={limit}>
            <dt>{limit}</dt>
            <dd>{value.toLocaleString('en')}</dd>
          </Fragment>
        ))}
      </dl>
    </details>
  );
}
