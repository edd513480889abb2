// The chart: one line a series over the last minute, drawn as SVG, so that its colours
// and theme are CSS. Times are the backend's, so what is caught up lands where it belongs.

const WINDOW = 60; // seconds
const SVG = 'http://www.w3.org/2000/svg';

export class Chart {
  #legend = document.getElementById('legend');
  #moving;
  #bands;
  #lines = new Map();  // series -> {path, value}
  #points = [];        // {t, values: Map}
  #cuts = [];          // {from, to}; to is null while it lasts
  #base = Date.now() / 1000;
  #lag = Infinity;     // the least time that a measurement was on its way, with the clocks' difference in it

  constructor() {
    const svg = element('svg', { viewBox: `0 0 ${WINDOW} 100`, preserveAspectRatio: 'none' });
    for (const y of [25, 50, 75]) svg.append(element('path', { class: 'rule', d: `M0 ${y}H${WINDOW}` }));
    this.#moving = element('g', {});
    this.#bands = element('path', { class: 'band' });
    this.#moving.append(this.#bands);
    svg.append(this.#moving);
    document.getElementById('plot').append(svg);

    const still = matchMedia('(prefers-reduced-motion: reduce)');
    const frame = () => {
      if (!still.matches) this.#move();
      requestAnimationFrame(frame);
    };
    frame();
  }

  event(measurement) {
    const t = Date.parse(measurement.time) / 1000 - this.#base;
    this.#lag = Math.min(this.#lag, Date.now() / 1000 - this.#base - t);
    const values = new Map(measurement.points.map((p) => [p.series, p.value ?? 0]));
    this.#points.push({ t, values });
    while (this.#points.length > 1 && this.#points[1].t < this.#now() - WINDOW) this.#points.shift();
    this.#draw();
    this.#move();
  }

  // seam begins a band in which the page was cut off; live ends it.
  seam() {
    if (this.#cuts.at(-1)?.to !== null) this.#cuts.push({ from: this.#now(), to: null });
  }

  live() {
    const cut = this.#cuts.at(-1);
    if (cut && cut.to === null) cut.to = this.#now();
  }

  #now() {
    return Date.now() / 1000 - this.#base - (Number.isFinite(this.#lag) ? this.#lag : 0);
  }

  #move() {
    this.#moving.setAttribute('transform', `translate(${(WINDOW - this.#now()).toFixed(3)} 0)`);
    if (this.#cuts.at(-1)?.to === null) this.#drawBands();
  }

  #draw() {
    for (const [series, value] of this.#points.at(-1).values) this.#line(series).value.textContent = value.toFixed(1);
    for (const [series, { path }] of this.#lines) {
      const known = this.#points.filter((p) => p.values.has(series));
      path.setAttribute('d', known.map((p, i) => `${i ? 'L' : 'M'}${p.t.toFixed(2)} ${(100 - p.values.get(series)).toFixed(1)}`).join(''));
    }
    this.#drawBands();
  }

  #drawBands() {
    this.#cuts = this.#cuts.filter((cut) => cut.to === null || cut.to > this.#now() - WINDOW);
    this.#bands.setAttribute('d', this.#cuts.map((cut) => `M${cut.from.toFixed(2)} 0H${(cut.to ?? this.#now()).toFixed(2)}V100H${cut.from.toFixed(2)}z`).join(''));
  }

  // line returns what draws a series, made when it is first seen.
  #line(series) {
    if (!this.#lines.has(series)) {
      const number = this.#lines.size % 3;
      const path = element('path', { class: `line s${number}` });
      this.#moving.append(path);
      const item = document.createElement('li');
      item.className = `s${number}`;
      const value = document.createElement('b');
      item.append(series, ' ', value);
      this.#legend.append(item);
      this.#lines.set(series, { path, value });
    }
    return this.#lines.get(series);
  }
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
