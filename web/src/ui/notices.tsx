import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { type Notice, dismiss, notices } from '../state/notices.js';

const SHOWN_MS = 10_000;

/** What there is to tell, in a corner. Both regions exist from the start: screen readers announce only what changes. */
export function Notices(): JSX.Element {
  const of = (kind: Notice['kind']): JSX.Element[] =>
    notices.value
      .filter((notice) => notice.kind === kind)
      .map((notice) => <One key={notice.text} notice={notice} />);
  return (
    <div class="notices">
      <div role="alert">{of('error')}</div>
      <div role="status">{of('info')}</div>
    </div>
  );
}

function One({ notice }: { notice: Notice }): JSX.Element {
  const { kind, text, action } = notice;
  const [isRead, setRead] = useState(false);
  useEffect(() => {
    if (kind === 'error' || isRead) return undefined;
    const timer = setTimeout(dismiss, SHOWN_MS, notice);
    return () => clearTimeout(timer);
  }, [notice, isRead]);
  return (
    <div
      class={`notice ${kind}`}
      onMouseEnter={() => setRead(true)}
      onMouseLeave={() => setRead(false)}
      onFocusIn={() => setRead(true)}
      onFocusOut={() => setRead(false)}
    >
      <p>{text}</p>
      {action && (
        <button
          type="button"
          onClick={() => {
            dismiss(notice);
            action.run();
          }}
        >
          {action.label}
        </button>
      )}
      <button type="button" class="quiet" aria-label="Dismiss" onClick={() => dismiss(notice)}>
        ✕
      </button>
    </div>
  );
}
