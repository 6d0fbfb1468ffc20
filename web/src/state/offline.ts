/** Has the page kept for visits without a network, once it has loaded; what is drawn waits for none of it. */
export function keepForOffline(): void {
  // Only on https and localhost, and not in every private window.
  if (!('serviceWorker' in navigator)) return;
  const register = async (): Promise<void> => {
    // Where it is refused the page works as well, with a network.
    await navigator.serviceWorker
      .register(new URL('service-worker.js', document.baseURI), { updateViaCache: 'none' })
      .catch(() => {});
  };
  if (document.readyState === 'complete') void register();
  else addEventListener('load', () => void register(), { once: true });
}
