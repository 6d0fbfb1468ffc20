import type { RgbaImage } from 'paella';
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { before, isComparing } from '../state/comparison.js';
import { type Drawing, drawing, isDrawing, progress, shownPicture, shownStep } from '../state/drawing.js';
import { close, opened, shown, shownImage, shownKept } from '../state/stage.js';
import { Compare } from './edit/compare.js';
import { later } from './later.js';
import { Logo } from './logo.js';
import { Picture } from './picture.js';
import { moveFocus } from './roving.js';
import { Scrubber } from './scrubber.js';
import { DrawingTrouble } from './trouble.js';

const FramePlayer = later(async () => (await import('./edit/frame-player.js')).FramePlayer);
const PictureTools = later(async () => (await import('./picture-tools.js')).PictureTools);

/** What is drawn, step by step; what was drawn last; or a picture of the gallery. */
export function Stage(): JSX.Element {
  const now = shown.value;
  const section = useRef<HTMLElement>(null);
  useEffect(() => {
    // On phones the form fills the screen.
    if (isDrawing.peek()) section.current!.scrollIntoView({ block: 'nearest', behavior: behavior() });
  }, [drawing.value?.request]);
  return (
    <section ref={section} class="stage" aria-label="Picture">
      <Progress />
      <DrawingTrouble />
      <Frame image={shownImage.value} now={now} />
      {now && now.trails.length > 1 && <Batch now={now} />}
      {now && now.trails.length > 1 && now.request.subject.kind === 'interpolate' && (
        <FramePlayer count={now.trails.length} />
      )}
      {now && <Scrubber />}
      {now && shownKept.value && <PictureTools kept={shownKept.value} now={now} />}
    </section>
  );
}

const behavior = (): ScrollBehavior =>
  matchMedia('(prefers-reduced-motion: reduce)').matches ? 'instant' : 'smooth';

function Frame({ image, now }: { image: RgbaImage | undefined; now: Drawing | null }): JSX.Element {
  if (!now) return <Empty />;
  if (!image) return <div class="picture waiting" aria-hidden="true" />;
  if (before.value && isComparing.value) return <Compare before={before.value} after={image} />;
  const done = now.trails[shownPicture.value].images.length;
  const step = shownStep.value === null ? done : shownStep.value + 1;
  const isFinal = now.result && shownStep.value === null;
  return (
    <Picture
      image={image}
      label={isFinal ? 'The drawn picture' : `The picture after step ${step} of ${now.steps}`}
    />
  );
}

function Empty(): JSX.Element {
  return (
    <div class="empty">
      <Logo />
      <p>
        <strong>Describe a picture, and press Generate.</strong>
      </p>
      <p>It is drawn in this page, on your device. Nothing is uploaded.</p>
    </div>
  );
}

/** All pictures of a run; the chosen one is shown large. */
function Batch({ now }: { now: Drawing }): JSX.Element {
  return (
    <div
      class="batch"
      role="radiogroup"
      aria-label="Pictures of this run"
      style={{ '--columns': columnsFor(now.trails.length) }}
      onKeyDown={(event) => moveFocus(event)?.click()}
    >
      {now.trails.map(({ images }, i) => {
        const image =
          shownStep.value === null ? (now.result?.images[i] ?? images.at(-1)) : images[shownStep.value];
        return (
          <button
            key={i}
            type="button"
            role="radio"
            aria-checked={shownPicture.value === i}
            aria-label={`Picture ${i + 1} of ${now.trails.length}`}
            tabIndex={shownPicture.value === i ? 0 : -1}
            onClick={() => (shownPicture.value = i)}
          >
            {image ? <Picture image={image} label="" /> : <span class="picture waiting" />}
          </button>
        );
      })}
    </div>
  );
}

/** Rows of equal length, of up to six. */
const columnsFor = (count: number): number => Math.ceil(count / Math.ceil(count / 6));

/** How far it is, in words and as a bar. Screen readers hear of each step once. */
function Progress(): JSX.Element | null {
  const now = drawing.value;
  const start = useMemo(() => performance.now(), [now?.request]);
  const isRunning = isDrawing.value;
  const isCurrent = isRunning || !opened.value;
  const seconds = (performance.now() - start) / 1000;
  return (
    <div class="progress" hidden={!now && isCurrent}>
      <p>
        {!isCurrent && <span>From the gallery</span>}
        <span role="status">{now && isCurrent && statusOf(now)}</span>
        {now && isRunning && progress.value > 0 && (
          <span class="note">
            {seconds.toFixed(1)} s · {speed(progress.value * now.steps, seconds)}
          </span>
        )}
        {now?.result && isCurrent && <span class="note">{speed(now.steps, now.result.seconds)}</span>}
        {now && opened.value && (
          <button type="button" class="quiet" onClick={close}>
            Back to the latest
          </button>
        )}
      </p>
      {isRunning && <progress max={1} value={progress.value} aria-label="Steps done" />}
    </div>
  );
}

const speed = (steps: number, seconds: number): string => `${(steps / seconds).toFixed(1)} steps/s`;

/** Of pictures that are drawn one after the other, the step of the present one, and how many there are already. */
function statusOf({ result, trouble, trails, steps }: Drawing): string {
  if (result) return `Done in ${result.seconds.toFixed(1)} s`;
  const lengths = trails.map(({ images }) => images.length);
  const finished = lengths.filter((length) => length === steps).length;
  const step = Math.max(...lengths.filter((length) => length < steps), 0);
  const pictures =
    finished > 0 && finished < trails.length ? `, ${finished} of ${trails.length} pictures done` : '';
  if (trouble?.code === 'aborted') return `Stopped after ${step || steps} of ${steps} steps${pictures}`;
  if (trouble) return '';
  return step + finished === 0 ? 'Reading the prompt …' : `Step ${step || steps} of ${steps}${pictures}`;
}
