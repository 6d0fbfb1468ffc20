import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import type { Inspection, KernelProfile } from '../../engine/protocol.js';
import { mebibytes, percent, short } from '../numbers.js';
import { ScrollTable } from '../scroll-table.js';

/** Rows of the table at first. */
const FEW = 10;

/** How much there was to do, and what it took of the memory. */
export function Work({ of: { work, memory } }: { of: Inspection }): JSX.Element {
  return (
    <section aria-label="Work">
      <h2>Work</h2>
      <dl class="numbers">
        <dt>Dispatches</dt>
        <dd>{work.dispatches}</dd>
        <dt>Submits</dt>
        <dd>{work.submits}</dd>
        <dt>Pipelines compiled</dt>
        <dd>{work.pipelines}</dd>
        <dt>Arithmetic</dt>
        <dd>{short(work.flops / 1e9)} GFLOP</dd>
        <dt>Read and written</dt>
        <dd>{mebibytes(work.bytes)}</dd>
        <dt>Peak memory, in use</dt>
        <dd>{mebibytes(memory.peakLiveBytes)}</dd>
        <dt>Peak memory, with what is kept for reuse</dt>
        <dd>{mebibytes(memory.peakBytes)}</dd>
      </dl>
    </section>
  );
}

/** Time on the device by kernel. */
export function Kernels({ of: { kernels, seconds } }: { of: Inspection }): JSX.Element {
  return (
    <section class="wide" aria-label="Kernels">
      <h2>Time by kernel</h2>
      {kernels ? (
        <KernelTable {...{ kernels, seconds }} />
      ) : (
        <p class="note">
          This browser offers no timestamp queries on this adapter, so kernels cannot be timed one by one. The
          whole drawing took {seconds.toFixed(2)} s.
        </p>
      )}
    </section>
  );
}

function KernelTable({ kernels, seconds }: { kernels: KernelProfile[]; seconds: number }): JSX.Element {
  const all = useSignal(false);
  const total = kernels.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const rows = all.value ? kernels : kernels.slice(0, FEW);
  const speed = (amount: number, milliseconds: number): string =>
    milliseconds > 0 ? short(amount / milliseconds / 1e6) : '–';
  return (
    <>
      <ScrollTable
        label="Time by kernel, as a table"
        columns={['Kernel', 'Calls', 'ms', 'Share', 'GFLOP/s', 'GB/s']}
      >
        <tbody>
          {rows.map(({ kernel, calls, milliseconds, flops, bytes }) => (
            <tr key={kernel}>
              <th scope="row">{kernel}</th>
              <td>{calls}</td>
              <td>{short(milliseconds)}</td>
              <td class="share" style={{ '--share': milliseconds / (total || 1) }}>
                {percent(milliseconds / (total || 1))}
              </td>
              <td>{speed(flops, milliseconds)}</td>
              <td>{speed(bytes, milliseconds)}</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">All {kernels.length}</th>
            <td>{kernels.reduce((sum, { calls }) => sum + calls, 0)}</td>
            <td>{short(total)}</td>
            <td />
            <td />
            <td />
          </tr>
        </tfoot>
      </ScrollTable>
      {kernels.length > FEW && (
        <button
          type="button"
          class="quiet"
          aria-expanded={all.value}
          onClick={() => (all.value = !all.value)}
        >
          {all.value ? `Show the ${FEW} most expensive` : `Show all ${kernels.length}`}
        </button>
      )}
      <p class="note">
        {short(total)} ms on the device, of {short(1000 * seconds)} ms in all. Each kernel runs in a pass of
        its own while it is timed. Browsers round its time, Chrome to 0.1 ms, so the numbers of short kernels
        are rough.
      </p>
    </>
  );
}
