import type { JSX } from 'preact';
import { giveUp, isStuck } from '../engine/client.js';
import type { StartProgress } from '../engine/protocol.js';
import { info, loadEmbedded, phase, retry, source } from '../state/engine.js';
import { dismissHint, isHintDismissed } from '../state/hint.js';
import { TroubleBox } from './trouble.js';

/** Which adapter computes, or how far it is with starting; in the header. */
export function EngineStatus(): JSX.Element {
  const now = phase.value;
  const { adapter, model } = info.value ?? {};
  const isOwn = source.value.files !== null;
  return (
    <div class="engine-status">
      <p role="status">
        {now.kind === 'loading' && (now.isAgain ? 'Starting again …' : 'Starting …')}
        {now.kind === 'failed' && 'Not ready'}
        {now.kind === 'ready' && isOwn && `${model!.name} on `}
        {now.kind === 'ready' && `${adapter!.name}${adapter!.isSoftware ? ' (software)' : ''}`}
      </p>
      {now.kind === 'ready' && isOwn && (
        <button type="button" onClick={() => void loadEmbedded()}>
          Back to the page’s own model
        </button>
      )}
      {now.kind === 'loading' && <Loading progress={now.progress} />}
    </div>
  );
}

function Loading({ progress }: { progress: StartProgress | null }): JSX.Element {
  return (
    <label class="loading">
      <progress max={1} value={progress ? shareOf(progress) : undefined} />
      <span>{progress && describe(progress)}</span>
    </label>
  );
}

const shareOf = (progress: StartProgress): number =>
  progress.stage === 'download' ? progress.loadedBytes / progress.totalBytes : progress.done / progress.total;

const parts: Partial<Record<string, string>> = {
  unet: 'U-Net',
  vqgan: 'VQGAN',
  text_encoder: 'text encoder',
  image_encoder: 'image encoder',
};

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

function describe(progress: StartProgress): string {
  if (progress.stage === 'load') {
    return `Loading the ${parts[progress.part] ?? progress.part}, ${Math.round(100 * shareOf(progress))} %`;
  }
  return `Downloading, ${megabytes(progress.loadedBytes)} of ${megabytes(progress.totalBytes)} MB`;
}

/** What keeps the page from drawing, or makes it slow; above every panel. */
export function EngineTrouble(): JSX.Element {
  const now = phase.value;
  return (
    <div class="engine-trouble">
      <div role="alert">
        {now.kind === 'failed' && <TroubleBox trouble={now.trouble} onRemedy={() => void retry()} />}
        {isStuck.value && <Stuck />}
      </div>
      {now.kind === 'ready' && info.value?.adapter.isSoftware && !isHintDismissed.value && <SoftwareHint />}
    </div>
  );
}

function Stuck(): JSX.Element {
  return (
    <div class="trouble">
      <p>
        <strong>The engine has not answered for half a minute.</strong> It may be at something large; what was
        drawn so far is kept either way.
      </p>
      <button type="button" onClick={giveUp}>
        Restart the engine
      </button>
    </div>
  );
}

function SoftwareHint(): JSX.Element {
  return (
    <div class="hint">
      <p>
        <strong>This browser computes without the graphics card, so slowly.</strong> Turn on “graphics
        acceleration” in its settings and restart it; in Chrome on Linux also chrome://flags/#enable-vulkan.
      </p>
      <button type="button" onClick={dismissHint}>
        Got it
      </button>
    </div>
  );
}
