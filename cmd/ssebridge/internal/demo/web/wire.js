// The wire: the picture of the way from the backend to the page, and the button that cuts it.

import { page } from './page.js';

const CUT_SECONDS = 5;
const MOST_PULSES = 40;

export class Wire {
  cutUntil = 0;

  #wire = document.getElementById('wire');
  #button = document.getElementById('cut');
  #label = document.getElementById('cut-label');
  #note = document.getElementById('bridge-note');
  #status = document.getElementById('status');
  #still = matchMedia('(prefers-reduced-motion: reduce)');
  #pulses = 0;

  constructor() {
    this.#button.addEventListener('click', () => this.#cut());
  }

  get isCut() {
    return Date.now() < this.cutUntil;
  }

  // say tells everyone, screen readers included, what has just happened.
  say(text) {
    this.#status.textContent = text;
  }

  // pulse lets an event run along its lane.
  pulse(lane) {
    if (this.#still.matches || document.hidden || this.#pulses >= MOST_PULSES) return;
    const track = this.#wire.querySelector(`.downstream [data-lane=${lane}]`);
    const dot = document.createElement('span');
    track.append(dot);
    this.#pulses++;
    const run = dot.animate([{ left: '0%' }, { left: '100%' }], { duration: 650, easing: 'cubic-bezier(.4,0,.7,1)' });
    run.onfinish = run.oncancel = () => { dot.remove(); this.#pulses--; };
  }

  // show draws how the streams stand; resumed says that all of them are back.
  show(states) {
    const left = Math.ceil((this.cutUntil - Date.now()) / 1000);
    const away = Object.values(states).some((state) => state === 'lost' || state === 'failed');
    const state = left > 0 ? 'cut' : away ? 'lost' : 'live';
    this.#wire.dataset.state = state;
    for (const [lane, at] of Object.entries(states)) {
      for (const track of this.#wire.querySelectorAll(`[data-lane=${lane}]`)) track.dataset.state = at;
    }
    this.#note.textContent = { cut: 'holding on', lost: 'holding on', live: 'bridging' }[state];
    const label = { cut: `Cut for ${left} s`, lost: 'Reconnecting…', live: 'Cut the connection' }[state];
    if (this.#label.textContent !== label) this.#label.textContent = label;
    this.#button.setAttribute('aria-disabled', String(state === 'cut'));
    return state;
  }

  async #cut() {
    if (this.isCut) return;
    try {
      const answer = await fetch(`/demo/cut?${new URLSearchParams({ page, seconds: CUT_SECONDS })}`, { method: 'POST' });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      this.cutUntil = Date.now() + CUT_SECONDS * 1000;
      this.say(`Connection cut for ${CUT_SECONDS} seconds.`);
    } catch (err) {
      this.say(`The cut did not reach the server: ${err.message}`);
    }
  }
}
