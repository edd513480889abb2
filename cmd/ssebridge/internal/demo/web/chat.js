// The chat: one EventSource for everybody in the room, and a plain POST to speak.

import { guest, withPage } from './page.js';

const KEPT = 200;

export class Chat {
  #talk = document.getElementById('talk');
  #note = document.getElementById('say-note');
  #still = matchMedia('(prefers-reduced-motion: reduce)');

  constructor() {
    document.querySelector('[data-guest]').textContent = guest;
    document.getElementById('say').addEventListener('submit', (submit) => {
      submit.preventDefault();
      this.#send(submit.target.elements.text);
    });
    document.getElementById('text').addEventListener('input', () => this.live());
  }

  event(event, { caughtUp }) {
    if (event.message) this.#message(event.message, caughtUp);
    else if (event.joined) this.#aside(`${event.joined.user} joined`);
    else if (event.left) this.#aside(`${event.left.user} left`);
  }

  // live is called when the stream is back: what could not be sent can be now.
  live() {
    this.#note.textContent = '';
  }

  // seam shows where the connection was lost.
  seam() {
    this.#aside('connection lost here', 'seam');
  }

  async #send(input) {
    const text = input.value.trim();
    if (!text) return;
    this.#note.textContent = '';
    try {
      const answer = await fetch(withPage('/rooms/lobby/messages'), {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ author: guest, text }),
      });
      if (!answer.ok) throw new Error((await answer.json()).message);
      input.value = ''; // the message itself comes back on the stream, like everyone's
    } catch (err) {
      this.#note.textContent = err instanceof TypeError ? 'Not sent: the connection is cut. Your text is kept, send it again.' : `Not sent: ${err.message}`;
    }
  }

  #message({ author, text }, caughtUp) {
    const item = document.createElement('li');
    item.className = `message ${side(author)}`;
    const name = document.createElement('b');
    name.textContent = author === guest ? 'You' : author;
    const words = document.createElement('p');
    item.append(name);
    if (caughtUp) {
      const note = document.createElement('small');
      note.textContent = 'caught up';
      item.append(note);
    }
    item.append(words);
    if (caughtUp || this.#still.matches || document.hidden || this.#talk.children.length < 2) words.textContent = text;
    else typeOut(words, text);
    this.#append(item);
  }

  #aside(text, kind = '') {
    const item = document.createElement('li');
    item.className = `aside ${kind}`;
    item.textContent = text;
    this.#append(item);
  }

  // append keeps the newest in view, unless somebody has scrolled up to read.
  #append(item) {
    const atEnd = this.#talk.scrollHeight - this.#talk.scrollTop - this.#talk.clientHeight < 80;
    this.#talk.append(item);
    while (this.#talk.children.length > KEPT) this.#talk.firstChild.remove();
    if (atEnd) this.#talk.scrollTop = this.#talk.scrollHeight;
  }
}

function side(author) {
  if (author === guest) return 'you';
  return author === 'Theo' ? 'right' : 'left';
}

// typeOut shows a text as if it were being typed. The whole text is laid out at once, so
// that nothing jumps and a screen reader has it complete.
function typeOut(element, text) {
  const shown = document.createElement('span');
  const hidden = document.createElement('span');
  hidden.className = 'untyped';
  hidden.textContent = text;
  element.append(shown, hidden);
  const begun = performance.now();
  const step = () => {
    const count = Math.min(text.length, Math.floor((performance.now() - begun) / 18));
    shown.textContent = text.slice(0, count);
    hidden.textContent = text.slice(count);
    if (count < text.length) requestAnimationFrame(step);
  };
  step();
}
