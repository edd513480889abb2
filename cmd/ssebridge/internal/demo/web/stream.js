// A Stream is one EventSource that is watched: it counts events, and checks by each
// event's own position that none is missing and none comes twice.
//
// Nothing here repairs anything. EventSource reconnects by itself and sends the last
// id it saw; the bridge answers with what came after it, or with a stream-gap event.

const CONTROL = ['stream-open', 'stream-gap', 'stream-stale', 'stream-live', 'stream-retry', 'stream-error', 'stream-end'];

// Events that arrive this soon after a reconnect happened while the page was away.
const CATCH_UP_MS = 350;

export class Stream {
  // Read by the page's meters.
  state = 'idle'; // idle, connecting, live, stale, lost, paused, ended, broken, failed
  lastId = '';
  events = 0;
  caught = 0;
  resumes = 0;
  gaps = 0;
  duplicates = 0;

  #options;
  #url = null;
  #source = null;
  #reopen = 0;          // timer
  #position = null;     // of the last event, null when any may follow
  #resumedAt = -Infinity;
  #opened = false;      // since start()
  #over = false;        // the stream's end was told
  #broken = false;      // and it was an error

  // options: names (event names to listen to), position(message, id) (a number that
  // grows by one with each event), onEvent(message, {name, caughtUp}), and
  // onChange(kind), where kind is event, state, gap or seam (the connection was lost).
  constructor(options) {
    this.#options = options;
  }

  // start listens to url from its beginning. first is the position before the first
  // event if that is known, so that a hole right at the start would be seen too.
  start(url, first = null) {
    this.#close();
    this.#url = url;
    this.#position = first;
    this.#opened = this.#over = this.#broken = false;
    this.lastId = '';
    if (document.hidden) this.#become('paused');
    else this.#open();
  }

  // pause gives the connection back; resume goes on after the last id.
  pause() {
    if (!this.#url || this.#over) return;
    this.#close();
    this.#become('paused');
  }

  resume() {
    if (this.state === 'paused') this.#open();
  }

  #open() {
    const url = new URL(this.#url, location.href);
    // A new EventSource knows no last id, so it goes into the URL.
    if (this.lastId) url.searchParams.set('last_event_id', this.lastId);
    this.#become('connecting');
    const source = this.#source = new EventSource(url);
    source.onopen = () => this.#onOpen();
    source.onerror = () => this.#onError();
    for (const name of this.#options.names) source.addEventListener(name, (e) => this.#onEvent(e));
    for (const name of CONTROL) source.addEventListener(name, (e) => this.#onControl(e));
  }

  #close() {
    clearTimeout(this.#reopen);
    this.#source?.close();
    this.#source = null;
  }

  #onOpen() {
    if (this.#opened) {
      this.resumes++;
      this.#resumedAt = performance.now();
    }
    this.#opened = true;
    this.#become('live');
  }

  #onEvent(event) {
    const message = JSON.parse(event.data);
    const position = this.#options.position(message, event.lastEventId);
    if (this.#position !== null && position <= this.#position) {
      this.duplicates++;
    } else {
      if (this.#position !== null && position > this.#position + 1) this.#gap();
      this.#position = position;
    }
    const caughtUp = performance.now() - this.#resumedAt < CATCH_UP_MS;
    if (caughtUp) this.caught++;
    this.events++;
    this.lastId = event.lastEventId;
    this.#options.onEvent(message, { name: event.type, caughtUp });
    this.#options.onChange('event', caughtUp);
  }

  #onControl(event) {
    this.lastId = event.lastEventId;
    switch (event.type) {
      case 'stream-gap': // announced: whatever comes next is where it goes on
        this.#position = null;
        this.#gap(JSON.parse(event.data).reason);
        break;
      case 'stream-stale': this.#become('stale'); break;
      case 'stream-live': this.#become('live'); break;
      case 'stream-error': this.#broken = true; // falls through
      case 'stream-end': this.#over = true; break; // the 204 that follows stops EventSource
    }
    this.#options.onChange('id');
  }

  #gap(reason = 'unannounced') {
    this.gaps++;
    this.#options.onChange('gap', reason);
  }

  #onError() {
    if (this.#over) {
      this.#become(this.#broken ? 'broken' : 'ended');
    } else if (this.#source.readyState === EventSource.CLOSED) {
      // A status other than 200 ends an EventSource for good: open another, later.
      this.#become('failed');
      this.#reopen = setTimeout(() => this.#open(), 2000 + Math.random() * 2000);
    } else {
      this.#become('lost');
    }
  }

  #become(state) {
    if (state === this.state) return;
    const was = this.state;
    this.state = state;
    if (was === 'live' && (state === 'lost' || state === 'paused')) this.#options.onChange('seam');
    this.#options.onChange('state');
  }
}

// seqOf reads the number out of an id that the bridge made, <epoch>-<seq>.
export function seqOf(id) {
  return Number(id.slice(id.lastIndexOf('-') + 1));
}
