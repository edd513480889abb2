// The clock: the newest tick's time, and the counts of the last few.

const SHOWN = 12;

export class Clock {
  #time = document.getElementById('time');
  #ticks = document.getElementById('ticks');
  #seam = false;

  event(tick, { caughtUp }) {
    const time = new Date(tick.time);
    this.#time.textContent = time.toLocaleTimeString('en-GB');
    const item = document.createElement('li');
    item.textContent = tick.count;
    item.classList.toggle('caught', caughtUp);
    item.classList.toggle('seam', this.#seam);
    this.#seam = false;
    this.#ticks.append(item);
    while (this.#ticks.children.length > SHOWN) this.#ticks.firstChild.remove();
  }

  // seam remembers that the connection was lost before the next tick.
  seam() {
    this.#seam = true;
  }
}
