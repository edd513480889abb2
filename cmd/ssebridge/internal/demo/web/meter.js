// A meter shows what is known of a card's stream: its state, last id and counts, and a
// tape of the last minute: arrivals in half seconds, what was caught up, and when the
// page was cut off.

const SLOT_MS = 500;
const SLOTS = 120;

const LABELS = {
  idle: 'not started', connecting: 'connecting', live: 'live', stale: 'backend away', lost: 'reconnecting',
  cut: 'cut off', paused: 'paused', ended: 'ended', broken: 'failed', failed: 'refused, trying again',
};

export class Meter {
  #fields = {};
  #pill;
  #paths = {};
  #slots = Array.from({ length: SLOTS }, () => emptySlot());
  #slot = Math.floor(Date.now() / SLOT_MS);

  constructor(card) {
    this.#pill = document.createElement('span');
    this.#pill.className = 'pill';
    card.querySelector('header').append(this.#pill);
    card.append(document.getElementById('meter').content.cloneNode(true));
    for (const field of card.querySelectorAll('[data-field]')) this.#fields[field.dataset.field] = field;
    for (const name of ['down', 'live', 'caught']) this.#paths[name] = card.querySelector(`.tape .${name}`);
    this.card = card;
  }

  // show writes a stream's numbers; cut says that the page knows why it is lost.
  show(stream, cut) {
    const state = cut && !['live', 'ended', 'broken'].includes(stream.state) ? 'cut' : stream.state;
    this.card.dataset.state = state;
    write(this.#pill, LABELS[state]);
    this.#showId(stream.lastId || 'none yet');
    for (const name of ['events', 'caught', 'resumes', 'gaps', 'duplicates']) {
      write(this.#fields[name], stream[name].toLocaleString('en'));
      this.#fields[name].dataset.zero = stream[name] === 0;
    }
  }

  // A long id is shortened in its first part; what moves is at its end.
  #showId(id) {
    const [head, tail] = this.#fields.id.children;
    const cut = id.length > 16 ? id.lastIndexOf('-') : -1;
    write(head, id.slice(0, Math.max(cut, 0)));
    write(tail, id.slice(Math.max(cut, 0)));
    this.#fields.id.title = id;
  }

  // mark counts an event on the tape.
  mark(caughtUp) {
    this.#advance(false);
    this.#slots.at(-1)[caughtUp ? 'caught' : 'live']++;
  }

  // tick moves the tape on; down says that the page is without the stream.
  tick(down) {
    this.#advance(down);
    const bars = { live: '', caught: '', down: '' };
    this.#slots.forEach((slot, x) => {
      if (slot.down) bars.down += `M${x} 0h1v20h-1z`;
      const live = height(slot.live);
      const caught = height(slot.live + slot.caught) - live;
      if (live) bars.live += bar(x, 20 - live, live);
      if (caught > 0) bars.caught += bar(x, 20 - live - caught, caught);
    });
    for (const name in bars) this.#paths[name].setAttribute('d', bars[name]);
  }

  #advance(down) {
    const now = Math.floor(Date.now() / SLOT_MS);
    for (let n = Math.min(now - this.#slot, SLOTS); n > 0; n--) {
      this.#slots.shift();
      this.#slots.push(emptySlot(down)); // more than one where the browser let us wait
    }
    this.#slot = Math.max(now, this.#slot);
    if (down) this.#slots.at(-1).down = true;
  }
}

function emptySlot(down = false) {
  return { live: 0, caught: 0, down };
}

// height of a bar: one event is well seen, many still fit.
function height(count) {
  return count === 0 ? 0 : Math.min(19, 5 + 4.2 * Math.log2(count));
}

function bar(x, y, h) {
  return `M${x + 0.12} ${y.toFixed(1)}h.76v${h.toFixed(1)}h-.76z`;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
