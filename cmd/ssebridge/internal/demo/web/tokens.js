// The token stream: a prompt's answer, typed out. Each answer is a stream of its own that
// ends; until somebody types a prompt, the next question of a list follows by itself.

import { withPage } from './page.js';

const PROMPTS = [
  'Explain reconnection to a friend',
  'Why does a browser reconnect by itself?',
  'What is a heartbeat good for?',
  'How does backpressure feel?',
];
const NEXT_MS = 6000;
const PACE = '0.09s'; // between two tokens, as proto3 JSON has a duration

export class Tokens {
  #answer = document.getElementById('answer');
  #input = document.getElementById('prompt');
  #text = null;
  #next = 0;     // of PROMPTS
  #timer = 0;
  #seam = false;

  // ask is called with the URL of each new answer.
  constructor(ask) {
    this.ask = ask;
    document.getElementById('prompt-form').addEventListener('submit', (submit) => {
      submit.preventDefault();
      this.#next = -1; // somebody is here: ask nothing on our own any more
      this.generate(this.#input.value);
    });
    this.#input.addEventListener('input', () => { this.#next = -1; clearTimeout(this.#timer); });
  }

  begin() {
    this.#input.value = PROMPTS[this.#next++ % PROMPTS.length];
    this.generate(this.#input.value);
  }

  generate(prompt) {
    clearTimeout(this.#timer);
    this.#text = document.createElement('p');
    this.#answer.replaceChildren(this.#text);
    this.#answer.dataset.done = false;
    this.#seam = false;
    this.ask(withPage('/tokens', { prompt, delay: PACE }));
  }

  event({ text = '' }, { caughtUp }) {
    if (this.#seam || caughtUp) {
      const piece = document.createElement('span');
      piece.className = `${this.#seam ? 'seam ' : ''}${caughtUp ? 'caught' : ''}`;
      piece.textContent = text;
      this.#text.append(piece);
      this.#seam = false;
    } else {
      this.#text.append(text);
    }
    this.#answer.scrollTop = this.#answer.scrollHeight;
  }

  seam() {
    this.#seam = true;
  }

  // end is called when the stream has ended for good.
  end() {
    this.#answer.dataset.done = true;
    this.#text.normalize();
    if (this.#next >= 0) this.#timer = setTimeout(() => this.begin(), NEXT_MS);
  }
}
