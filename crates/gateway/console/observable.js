// State that views follow. Changes of one turn of the event loop are told once.

export class Observable {
  #watchers = new Set();
  #isTelling = false;

  /** Calls `watcher` now and after each change; the function that is returned ends it. */
  watch(watcher) {
    this.#watchers.add(watcher);
    watcher();
    return () => this.#watchers.delete(watcher);
  }

  /** Says that something changed. */
  changed() {
    if (this.#isTelling) return;
    this.#isTelling = true;
    queueMicrotask(() => {
      this.#isTelling = false;
      for (const watcher of [...this.#watchers]) watcher();
    });
  }
}
